"""Server optimizers, which treat the mean update as a gradient (docs/method.md#server-optimizers).

FedAvgM (Hsu et al. 2019), FedAdam and FedYogi (Reddi et al. 2021), without bias correction. The
state is float64 and starts at zero; a tensor nobody sent keeps its value and its state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from fedmvp.config import FederationParams

__all__ = ["STEPS", "server_step"]

Moments = tuple[Tensor, Tensor]
"""Momentum m and second moment v of one tensor, float64."""


def fedavgm(delta: Tensor, moments: Moments, params: FederationParams) -> tuple[Tensor, Moments]:
    """FedAvgM: m ← βm + Δ̄; the step is m."""
    momentum = params.server_momentum * moments[0] + delta
    return momentum, (momentum, moments[1])


def fedadam(delta: Tensor, moments: Moments, params: FederationParams) -> tuple[Tensor, Moments]:
    """FedAdam: m ← β1 m + (1 - β1) Δ̄; v ← β2 v + (1 - β2) Δ̄²; the step is m / (√v + τ)."""
    beta = params.server_second_momentum
    second = beta * moments[1] + (1 - beta) * delta.square()
    return _adaptive(delta, moments[0], second, params)


def fedyogi(delta: Tensor, moments: Moments, params: FederationParams) -> tuple[Tensor, Moments]:
    """FedYogi: FedAdam with v ← v - (1 - β2) Δ̄² sign(v - Δ̄²)."""
    square = delta.square()
    second = moments[1] - (1 - params.server_second_momentum) * square * torch.sign(
        moments[1] - square
    )
    return _adaptive(delta, moments[0], second, params)


def _adaptive(
    delta: Tensor, momentum: Tensor, second: Tensor, params: FederationParams
) -> tuple[Tensor, Moments]:
    beta = params.server_momentum
    momentum = beta * momentum + (1 - beta) * delta
    return momentum / (second.sqrt() + params.server_tau), (momentum, second)


STEPS: dict[str, Callable[[Tensor, Moments, FederationParams], tuple[Tensor, Moments]]] = {
    "fedavgm": fedavgm,
    "fedadam": fedadam,
    "fedyogi": fedyogi,
}
"""``federation.aggregation`` → step."""

_RATES = {"fedavgm": 1.0, "fedadam": 1e-3, "fedyogi": 1e-3}
"""η where none is set. Adaptive steps have the size of η however small the updates are, so a rate
fit for FedAvgM would move learned prompts much too far (docs/method.md#server-optimizers)."""


def server_step(
    current: Mapping[str, Tensor],
    means: Mapping[str, Tensor],
    state: Mapping[str, Tensor],
    federation: FederationParams,
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Move the global tensors along the optimizer's step: w ← w + η · step.

    Parameters
    ----------
    current : mapping of str to Tensor
        w_t.
    means : mapping of str to Tensor
        Mean of the clients' tensors, for each that any client sent.
    state : mapping of str to Tensor
        ``momentum/<name>`` and ``second/<name>`` as left by the last round.

    Returns
    -------
    tensors, state : dict of str to Tensor
    """
    step = STEPS[federation.aggregation]
    rate = federation.server_learning_rate or _RATES[federation.aggregation]
    tensors, after = dict(current), dict(state)
    for name, mean in means.items():
        start = current[name].to(mean.device).double()
        zero = torch.zeros_like(start)
        keys = f"momentum/{name}", f"second/{name}"
        moments = state.get(keys[0], zero).to(zero.device), state.get(keys[1], zero).to(zero.device)
        move, (after[keys[0]], after[keys[1]]) = step(mean.double() - start, moments, federation)
        tensors[name] = (start + rate * move).to(current[name].dtype)
    return tensors, after
