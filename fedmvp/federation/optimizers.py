"""Client optimizers: one step on some tensors, with a state that can be saved.

These are functions over torch's functional optimizers: the state of a client has to survive from
round to round under ``client_state: persistent``, and so it is a plain mapping of tensors by name.
A fused step is one kernel for all tensors; with ``FEDMVP_PLAIN=fused_steps`` torch steps tensor by
tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor
from torch.autograd.graph import increment_version
from torch.optim.adam import adam
from torch.optim.sgd import sgd

from fedmvp.config import FederationParams

__all__ = ["OPTIMIZERS", "Step"]

State = dict[str, Tensor]
"""Tensors an optimizer keeps, by ``<name>`` (momentum), ``<name>/second`` and ``<name>/steps``."""


def _sgd(
    tensors: Mapping[str, Tensor],
    gradients: Mapping[str, Tensor],
    state: State,
    federation: FederationParams,
    learning_rate: float,
    *,
    fused: bool = True,
) -> None:
    """SGD: b ← momentum · b + g + weight_decay · w (b = g at first); w ← w - rate · b."""
    if federation.momentum:
        for name in gradients:
            if name not in state:
                state[name] = torch.zeros_like(tensors[name])
    sgd(
        *_aligned(tensors, gradients),
        [state.get(name) if federation.momentum else None for name in gradients],
        fused=fused,
        foreach=False,
        weight_decay=federation.weight_decay,
        momentum=federation.momentum,
        lr=learning_rate,
        dampening=0.0,
        nesterov=False,
        maximize=False,
    )


def _adam(
    tensors: Mapping[str, Tensor],
    gradients: Mapping[str, Tensor],
    state: State,
    federation: FederationParams,
    learning_rate: float,
    *,
    decoupled: bool,
    fused: bool = True,
) -> None:
    """Take the bias-corrected step rate · m̂ / (√v̂ + epsilon); ``momentum`` is beta1.

    Adam adds weight decay to the gradient; AdamW, `decoupled`, first takes
    w ← w · (1 - rate · weight_decay).
    """
    for name in gradients:
        if name not in state:
            state[name] = torch.zeros_like(tensors[name])
            state[f"{name}/second"] = torch.zeros_like(tensors[name])
            state[f"{name}/steps"] = torch.zeros(1, device=tensors[name].device)
    adam(
        *_aligned(tensors, gradients),
        [state[name] for name in gradients],
        [state[f"{name}/second"] for name in gradients],
        [],
        [state[f"{name}/steps"] for name in gradients],
        fused=fused,
        foreach=False,
        decoupled_weight_decay=decoupled,
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
    """Return weights and gradients in one memory layout, which fused kernels require.

    What `torch.autograd.grad` returns may be a transposed view.
    """
    written = [tensors[name] for name in gradients]
    increment_version(written)  # fused kernels do not tell autograd that they write
    return written, [gradient.contiguous() for gradient in gradients.values()]


Step = Callable[..., None]
"""Called with tensors, gradients, state, federation, learning rate, and the keyword `fused`."""

OPTIMIZERS: dict[str, Step] = {
    "sgd": _sgd,
    "adam": partial(_adam, decoupled=False),
    "adamw": partial(_adam, decoupled=True),
}
"""``federation.client_optimizer`` → step; it changes tensors and state in place."""
