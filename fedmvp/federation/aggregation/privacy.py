"""Client-level privacy: DP-FedAvg and its accountant (docs/method.md#differential-privacy).

Neighbouring federations differ in one client. Every client's whole update is clipped to S, the
clipped updates are summed, Gaussian noise of standard deviation z·S is added to the sum, and the
result is divided by the number of clients selected: a fixed number, however many updates arrive
and whichever phase each client is in.

What ε does not cover: the log (losses, accuracies, phases per client), which exists because this is
a simulation; which tensors took part in a round, for methods with phases; and publishing more than
one federation (folds, seeds, settings) of the same clients, whose budgets add up. Noise is derived
from the run's seed so that results can be reproduced: a deployment has to keep its seed secret.

The noise has norm about (zS/m)√d for d values and m clients, so with large prompts or few clients
it exceeds the updates.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from fedmvp.config import DifferentialPrivacyParams, FederationParams
from fedmvp.errors import ConfigError
from fedmvp.federation.aggregation.clipping import clip_factor, deltas
from fedmvp.federation.client import ClientUpdate
from fedmvp.federation.schedule import cohort
from fedmvp.partition.model import Partition
from fedmvp.seeds import torch_generator

__all__ = ["epsilon", "privacy_reports", "private_average"]

#: Orders of the Rényi divergence ε is minimised over.
_ORDERS = (*(1 + i / 10 for i in range(1, 100)), *range(12, 64), 128, 256, 512, 1024)


def private_average(
    current: Mapping[str, Tensor],
    updates: Iterable[ClientUpdate],
    privacy: DifferentialPrivacyParams,
    *,
    clients: int,
    seed: int,
    round_index: int,
) -> dict[str, Tensor]:
    """Return w_t + (Σ clip(Δ_i) + N(0, (zS)²)) / m, for the tensors any client sent.

    Parameters
    ----------
    clients : int
        m, clients selected in this round.
    seed, round_index : int
        Determine the noise.
    """
    sums: dict[str, Tensor] = {}
    for update in updates:
        delta = deltas(update, current)
        factor = clip_factor(delta, privacy.clip_norm)
        for name, tensor in delta.items():
            term = factor * tensor
            sums[name] = sums[name].add_(term) if name in sums else term
    scale = privacy.noise_multiplier * privacy.clip_norm
    result = dict(current)
    for name, total in sums.items():
        generator = torch_generator(seed, "privacy_noise", round_index, name)
        noise = torch.randn(total.shape, generator=generator, dtype=torch.float64).to(total.device)
        moved = current[name].to(total.device) + (total + scale * noise) / clients
        result[name] = moved.to(current[name].dtype)
    return result


def epsilon(privacy: DifferentialPrivacyParams, *, rounds: int, sampling: float) -> float | None:
    """Return ε at ``delta`` after `rounds` rounds; None without noise, as nothing is guaranteed.

    It is computed by Opacus' accountant of the (subsampled) Gaussian mechanism. Below full
    participation this assumes Poisson sampling with rate `sampling`; cohorts of a fixed size are
    close to that, not the same.

    Raises
    ------
    ConfigError
        When Opacus is not installed.
    """
    if privacy.noise_multiplier == 0:
        return None
    try:
        # Slow to import: Opacus loads much of torch.
        from opacus.accountants.analysis import rdp
    except ImportError:
        raise ConfigError(
            "differential privacy needs Opacus for its accountant",
            where="params.yaml: federation.privacy",
            hint="install it with `uv pip install opacus`, or set federation.privacy to null",
        ) from None
    divergences = rdp.compute_rdp(
        q=sampling, noise_multiplier=privacy.noise_multiplier, steps=rounds, orders=_ORDERS
    )
    value, _ = rdp.get_privacy_spent(orders=_ORDERS, rdp=divergences, delta=privacy.delta)
    return float(value)


def privacy_reports(partition: Partition, federation: FederationParams) -> dict[str, Any]:
    """Return the entry of run.json with each fold's privacy budget.

    Empty where ``federation.privacy`` is not set.

    Raises
    ------
    ConfigError
        When the accountant is not installed.
    """
    if federation.privacy is None:
        return {}
    spent = {
        fold: _report(federation, federation.privacy, [c.id for c in partition.clients_of(fold)])
        for fold in partition.folds
    }
    return {"privacy": spent}


def _report(
    federation: FederationParams, privacy: DifferentialPrivacyParams, clients: Sequence[str]
) -> dict[str, Any]:
    selected = len(cohort(clients, federation.participation, 0, 0))
    return {
        **privacy.model_dump(mode="json"),
        "epsilon": epsilon(privacy, rounds=federation.rounds, sampling=selected / len(clients)),
        "rounds": federation.rounds,
        "clients": len(clients),
        "clients_per_round": selected,
        "accountant": "RDP, Gaussian mechanism"
        if selected == len(clients)
        else "RDP, Poisson-subsampled Gaussian mechanism (approximates fixed-size cohorts)",
    }
