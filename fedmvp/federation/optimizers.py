"""Client optimizers: one step on some tensors, with a state that can be saved.

Functions around torch's fused kernels, one call for all tensors: torch's optimizer classes take
seconds to import, and the state of a client has to survive from round to round under
``client_state: persistent``. Under ``FEDMVP_PLAIN=fused_steps`` written-out formulas stand in for
the kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor
from torch.autograd.graph import increment_version

from fedmvp.config import FederationParams
from fedmvp.federation.optimizer_formulas import adam_formula, adamw_formula, sgd_formula

__all__ = ["FORMULAS", "OPTIMIZERS", "Step"]

State = dict[str, Tensor]
"""Tensors an optimizer keeps, by ``<name>`` (momentum), ``<name>/second`` and ``<name>/steps``."""


def _sgd(
    kernel: Callable[..., object],
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
    kernel(
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
    kernel: Callable[..., object],
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
    for name in gradients:
        if name not in state:
            state[name] = torch.zeros_like(tensors[name])
            state[f"{name}/second"] = torch.zeros_like(tensors[name])
            state[f"{name}/steps"] = torch.zeros(1, device=tensors[name].device)
    counts = [state[f"{name}/steps"] for name in gradients]
    torch._foreach_add_(counts, 1)
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


def _aligned(
    tensors: Mapping[str, Tensor], gradients: Mapping[str, Tensor]
) -> tuple[list[Tensor], list[Tensor]]:
    """Return weights and gradients in one memory layout: the kernels go through plain memory.

    What `torch.autograd.grad` returns may be a transposed view.
    """
    written = [tensors[name] for name in gradients]
    increment_version(written)  # the kernels do not tell autograd that they write
    return written, [gradient.contiguous() for gradient in gradients.values()]


Step = Callable[[Mapping[str, Tensor], Mapping[str, Tensor], State, FederationParams, float], None]
OPTIMIZERS: dict[str, Step] = {
    "sgd": partial(_sgd, torch._fused_sgd_),
    "adam": partial(_adam, torch._fused_adam_),
    "adamw": partial(_adam, torch._fused_adamw_),
}
"""``federation.client_optimizer`` → step; it changes tensors and state in place."""

FORMULAS: dict[str, Step] = {
    "sgd": partial(_sgd, sgd_formula),
    "adam": partial(_adam, adam_formula),
    "adamw": partial(_adam, adamw_formula),
}
"""The same with the formulas in the kernels' place."""
