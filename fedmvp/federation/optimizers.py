"""Client optimizers: one step on some tensors, with a state that can be saved.

Written as functions because torch's optimizer classes take seconds to import, and because the
state of a client has to survive from round to round under ``client_state: persistent``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from fedmvp.config import FederationParams

__all__ = ["OPTIMIZERS"]

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
    weights = [tensors[name] for name in gradients]
    steps: list[Tensor] | tuple[Tensor, ...] = list(gradients.values())
    # All tensors in one call: on a GPU a kernel or two instead of one for each tensor.
    if federation.weight_decay:
        steps = torch._foreach_add(steps, weights, alpha=federation.weight_decay)
    if federation.momentum:
        for name, step in zip(gradients, steps, strict=True):
            if name not in state:
                state[name] = torch.zeros_like(step)
        buffers = [state[name] for name in gradients]
        torch._foreach_mul_(buffers, federation.momentum)
        torch._foreach_add_(buffers, steps)
        steps = buffers
    torch._foreach_add_(weights, steps, alpha=-learning_rate)


def adam_step(
    tensors: Mapping[str, Tensor],
    gradients: Mapping[str, Tensor],
    state: State,
    federation: FederationParams,
    learning_rate: float,
) -> None:
    """Adam; ``momentum`` is beta1, weight decay is added to the gradient."""
    decayed = {
        name: gradient + federation.weight_decay * tensors[name]
        for name, gradient in gradients.items()
    }
    _adam(tensors, decayed, state, federation, learning_rate)


def adamw_step(
    tensors: Mapping[str, Tensor],
    gradients: Mapping[str, Tensor],
    state: State,
    federation: FederationParams,
    learning_rate: float,
) -> None:
    """Adam with decoupled weight decay: w ← w · (1 - rate · weight_decay) before the step."""
    for name in gradients:
        tensors[name].mul_(1 - learning_rate * federation.weight_decay)
    _adam(tensors, gradients, state, federation, learning_rate)


def _adam(
    tensors: Mapping[str, Tensor],
    gradients: Mapping[str, Tensor],
    state: State,
    federation: FederationParams,
    learning_rate: float,
) -> None:
    """Take the bias-corrected step rate · m̂ / (√v̂ + epsilon)."""
    beta1, beta2 = federation.momentum, federation.second_momentum
    for name, gradient in gradients.items():
        zero = torch.zeros_like(gradient)
        second, steps = f"{name}/second", f"{name}/steps"
        count = int(state.get(steps, torch.zeros(1))) + 1
        state[name] = beta1 * state.get(name, zero) + (1 - beta1) * gradient
        state[second] = beta2 * state.get(second, zero) + (1 - beta2) * gradient.square()
        state[steps] = torch.full((1,), float(count))
        root = (state[second] / (1 - beta2**count)).sqrt()
        step = state[name] / (1 - beta1**count) / (root + federation.adam_epsilon)
        tensors[name].sub_(learning_rate * step)


Step = Callable[[Mapping[str, Tensor], Mapping[str, Tensor], State, FederationParams, float], None]
OPTIMIZERS: dict[str, Step] = {"sgd": sgd_step, "adam": adam_step, "adamw": adamw_step}
"""``federation.client_optimizer`` → step; it changes tensors and state in place."""
