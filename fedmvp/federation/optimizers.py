"""Client optimizers: one step on some tensors, with a state that can be saved.

Functions around torch's fused kernels, one call for all tensors: torch's optimizer classes take
seconds to import, and the state of a client has to survive from round to round under
``client_state: persistent``. The same steps stand beside them written out, for
``FEDMVP_PLAIN=fused_steps``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor
from torch.autograd.graph import increment_version

from fedmvp.config import FederationParams

__all__ = ["FORMULAS", "OPTIMIZERS", "Step"]

State = dict[str, Tensor]
"""Tensors an optimizer keeps, by ``<name>`` (momentum), ``<name>/second`` and ``<name>/steps``."""


def sgd_step(
    tensors: Mapping[str, Tensor],
    gradients: Mapping[str, Tensor],
    state: State,
    federation: FederationParams,
    learning_rate: float,
) -> None:
    """SGD: b ← momentum · b + g + weight_decay · w (b = g at first); w ← w - rate · b."""
    if federation.momentum:
        for name in gradients:
            if name not in state:
                state[name] = torch.zeros_like(tensors[name])
    torch._fused_sgd_(
        *_aligned(tensors, gradients),
        [state[name] for name in gradients] if federation.momentum else [],
        weight_decay=federation.weight_decay,
        momentum=federation.momentum,
        lr=learning_rate,
        dampening=0.0,
        nesterov=False,
        maximize=False,
        is_first_step=False,
    )


def _adam(
    kernel: Callable[..., None],
    tensors: Mapping[str, Tensor],
    gradients: Mapping[str, Tensor],
    state: State,
    federation: FederationParams,
    learning_rate: float,
) -> None:
    """Take the bias-corrected step rate · m̂ / (√v̂ + epsilon); ``momentum`` is beta1.

    Weight decay is what `kernel` makes of it: Adam adds it to the gradient; for AdamW first
    w ← w · (1 - rate · weight_decay).
    """
    counts = _counted(tensors, gradients, state)
    kernel(
        *_aligned(tensors, gradients),
        [state[name] for name in gradients],
        [state[f"{name}/second"] for name in gradients],
        [],
        counts,
        lr=learning_rate,
        beta1=federation.momentum,
        beta2=federation.second_momentum,
        weight_decay=federation.weight_decay,
        eps=federation.adam_epsilon,
        amsgrad=False,
        maximize=False,
    )


def _counted(
    tensors: Mapping[str, Tensor], gradients: Mapping[str, Tensor], state: State
) -> list[Tensor]:
    """Return Adam's step counts, this step included; moments not yet there become zeros."""
    for name in gradients:
        if name not in state:
            state[name] = torch.zeros_like(tensors[name])
            state[f"{name}/second"] = torch.zeros_like(tensors[name])
            state[f"{name}/steps"] = torch.zeros(1, device=tensors[name].device)
    counts = [state[f"{name}/steps"] for name in gradients]
    torch._foreach_add_(counts, 1)
    return counts


def _aligned(
    tensors: Mapping[str, Tensor], gradients: Mapping[str, Tensor]
) -> tuple[list[Tensor], list[Tensor]]:
    """Return weights and gradients in one memory layout: the kernels go through plain memory.

    What `torch.autograd.grad` returns may be a transposed view.
    """
    written = [tensors[name] for name in gradients]
    increment_version(written)  # the kernels do not tell autograd that they write
    return written, [gradient.contiguous() for gradient in gradients.values()]


def _sgd_formula(
    tensors: Mapping[str, Tensor],
    gradients: Mapping[str, Tensor],
    state: State,
    federation: FederationParams,
    learning_rate: float,
) -> None:
    """See `sgd_step`."""
    for name, gradient in gradients.items():
        slope = gradient + federation.weight_decay * tensors[name]
        if federation.momentum:
            before = state.get(name)
            slope = slope if before is None else federation.momentum * before + slope
            state[name] = slope
        tensors[name].sub_(learning_rate * slope)


def _adam_formula(
    decoupled: bool,
    tensors: Mapping[str, Tensor],
    gradients: Mapping[str, Tensor],
    state: State,
    federation: FederationParams,
    learning_rate: float,
) -> None:
    """See `_adam`; `decoupled` is AdamW."""
    beta1, beta2 = federation.momentum, federation.second_momentum
    counts = _counted(tensors, gradients, state)
    for (name, gradient), count in zip(gradients.items(), counts, strict=True):
        steps, decay = float(count), federation.weight_decay
        if decoupled:
            tensors[name].mul_(1 - learning_rate * decay)
        slope = gradient if decoupled else gradient + decay * tensors[name]
        first = state[name].mul_(beta1).add_((1 - beta1) * slope)
        second = state[f"{name}/second"].mul_(beta2).add_((1 - beta2) * slope.square())
        root = (second / (1 - beta2**steps)).sqrt() + federation.adam_epsilon
        tensors[name].sub_(learning_rate * (first / (1 - beta1**steps)) / root)


Step = Callable[[Mapping[str, Tensor], Mapping[str, Tensor], State, FederationParams, float], None]
OPTIMIZERS: dict[str, Step] = {
    "sgd": sgd_step,
    "adam": partial(_adam, torch._fused_adam_),
    "adamw": partial(_adam, torch._fused_adamw_),
}
"""``federation.client_optimizer`` → step; it changes tensors and state in place."""

FORMULAS: dict[str, Step] = {
    "sgd": _sgd_formula,
    "adam": partial(_adam_formula, False),
    "adamw": partial(_adam_formula, True),
}
"""The same written out."""
