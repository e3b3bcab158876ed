"""Aggregation rules: pure functions from the global tensors and the clients' updates.

Every tensor is aggregated over the clients that sent it. Clients in different phases send
different tensors, so each phase is averaged over its own clients and the rest stays as it was:
phase-aware FedAvg (docs/method.md#fedavg-by-phase).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from fedmvp.config import FederationParams
from fedmvp.data.fetch.progress import tell
from fedmvp.errors import ClientFailure
from fedmvp.federation.aggregation.clipping import clip_update
from fedmvp.federation.aggregation.privacy import private_average
from fedmvp.federation.aggregation.robust import RULES, robust_average
from fedmvp.federation.aggregation.server import STEPS, server_step
from fedmvp.federation.client import ClientUpdate

__all__ = ["Aggregator", "check_global", "check_update", "federated_average"]

_DTYPES = {"float64": torch.float64, "float32": torch.float32, "float16": torch.float16}


def check_update(update: ClientUpdate, current: Mapping[str, Tensor]) -> None:
    """Refuse an update that would poison the average.

    Raises
    ------
    ClientFailure
        For unknown or misshapen tensors and for values that are not finite.
    """
    where = f"update of client {update.client}"
    hint = "inspect the client's data, or set federation.on_client_failure: skip"
    for name, tensor in update.tensors.items():
        if name not in current:
            raise ClientFailure("unknown tensor", where=where, value=name, hint=hint)
        if tensor.shape != current[name].shape:
            shapes = f"{tuple(tensor.shape)}, expected {tuple(current[name].shape)}"
            raise ClientFailure(f"tensor {name} has shape {shapes}", where=where, hint=hint)
    if (bad := _not_finite(update.tensors)) is not None:
        raise ClientFailure(f"tensor {bad} has values that are not finite", where=where, hint=hint)


def check_global(tensors: Mapping[str, Tensor], round_index: int) -> None:
    """Refuse a global model with values that are not finite, although the updates were.

    Raises
    ------
    ClientFailure
        When a sum overflowed (float16 sums do at 65504) or a server step diverged.
    """
    if (bad := _not_finite(tensors)) is not None:
        raise ClientFailure(
            f"aggregation gave {bad} values that are not finite",
            where=f"round {round_index}",
            hint="set federation.aggregation_dtype: float64, or lower "
            "federation.server_learning_rate",
        )


def _not_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """Return the first tensor with a value that is not finite; waits for a GPU only once."""
    if not tensors:
        return None
    sound = torch.stack([tensor.isfinite().all() for tensor in tensors.values()]).cpu().tolist()
    return next((name for name, good in zip(tensors, sound, strict=True) if not good), None)


def federated_average(
    current: Mapping[str, Tensor],
    updates: Iterable[ClientUpdate],
    *,
    weighting: str = "uniform",
    dtype: str = "float64",
) -> dict[str, Tensor]:
    """FedAvg: the weighted mean of each tensor over the clients that sent it.

    Sums are streamed in the order given, so memory does not grow with the clients. In float64 the
    mean of equal updates is that update bit for bit.

    Parameters
    ----------
    current : mapping of str to Tensor
        Global tensors w_t; those nobody sent keep their values.
    weighting : {"uniform", "samples"}
        Equal weights, as FedTPG and FedMVP use, or n_i / Σ n_i.
    dtype : {"float64", "float32", "float16"}
        Format of the sums; the official code's is float16
        (docs/method.md#difference-aggregation-dtype).
    """
    means = _means(updates, weighting, dtype)
    return {
        name: means[name].to(tensor.dtype) if name in means else tensor
        for name, tensor in current.items()
    }


def _means(updates: Iterable[ClientUpdate], weighting: str, dtype: str) -> dict[str, Tensor]:
    """Return the weighted mean of each tensor over its senders, in `dtype`."""
    kind = _DTYPES[dtype]
    sums: dict[str, Tensor] = {}
    weights: dict[str, float] = {}
    for update in updates:
        weight = float(update.images) if weighting == "samples" else 1.0
        for name, tensor in update.tensors.items():
            term = tensor.to(kind) * weight
            sums[name] = sums[name].add_(term) if name in sums else term
            weights[name] = weights.get(name, 0.0) + weight
    return {name: total / weights[name] for name, total in sums.items()}


class Aggregator:
    """The server's rule, with its state from round to round.

    Norm clipping is applied before every rule. At the server, FedProx is FedAvg: its additional
    term is in the clients' loss.

    Parameters
    ----------
    federation : FederationParams
    state : dict of str to Tensor
        Server optimizer state to continue from; empty at the start.
    seed : int
        Seed of the rule's random draws.
    """

    def __init__(self, federation: FederationParams, state: dict[str, Tensor], seed: int) -> None:
        self.federation = federation
        self.state = state
        self.seed = seed
        self._told: set[str] = set()

    def __call__(
        self,
        current: Mapping[str, Tensor],
        updates: Iterable[ClientUpdate],
        round_index: int,
        clients: int,
    ) -> dict[str, Tensor]:
        """Return the next global tensors.

        Parameters
        ----------
        updates : iterable of ClientUpdate
            In the order of clients; processed one by one unless the rule needs all at once.
        clients : int
            Clients selected, whether or not their updates arrive.
        """
        params = self.federation
        if params.clip_norm is not None:
            bound = params.clip_norm
            updates = (clip_update(update, current, bound) for update in updates)
        if params.privacy is not None:
            return private_average(
                current,
                updates,
                params.privacy,
                clients=clients,
                seed=self.seed,
                round_index=round_index,
            )
        if params.aggregation in RULES:

            def left(count: int, gap: str) -> None:
                self._tell_left(round_index, f"{count} of {clients}", gap)

            return robust_average(current, list(updates), params, left)
        if params.aggregation in STEPS:
            means = _means(updates, params.weighting, params.aggregation_dtype)
            tensors, self.state = server_step(current, means, self.state, params)
            return tensors
        return federated_average(
            current, updates, weighting=params.weighting, dtype=params.aggregation_dtype
        )

    def _tell_left(self, round_index: int, senders: str, gap: str) -> None:
        """Warn, once for each reason, that a block was too small for the rule."""
        if gap not in self._told:
            self._told.add(gap)
            tell(
                f"warning: round {round_index}: tensors sent by {senders} clients stay as they "
                f"were: {self.federation.aggregation} cannot withstand "
                f"{self.federation.byzantine} wrong ones there, for {gap}"
            )
