"""What torch's fused optimizer kernels compute, tensor by tensor, with their signatures.

Lists run over tensors: weights w, gradients g, and what the optimizer keeps; all but gradients are
changed in place. Options of the kernels that are never used are accepted and ignored.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from torch import Tensor

__all__ = ["adam_formula", "adamw_formula", "sgd_formula"]

Tensors = Sequence[Tensor]


def sgd_formula(
    weights: Tensors,
    gradients: Tensors,
    buffers: Tensors,
    *,
    weight_decay: float,
    momentum: float,
    lr: float,
    **unused: object,
) -> None:
    """SGD; `buffers` is empty without momentum."""
    for index, (weight, gradient) in enumerate(zip(weights, gradients, strict=True)):
        slope = gradient + weight_decay * weight
        if momentum:
            slope = buffers[index].mul_(momentum).add_(slope)
        weight.sub_(lr * slope)


def _adam(
    decoupled: bool,
    weights: Tensors,
    gradients: Tensors,
    firsts: Tensors,
    seconds: Tensors,
    maxima: Tensors,
    counts: Tensors,
    *,
    lr: float,
    beta1: float,
    beta2: float,
    weight_decay: float,
    eps: float,
    **unused: object,
) -> None:
    """Adam, or AdamW if `decoupled`; `counts` are the steps, this one included."""
    for weight, gradient, first, second, count in zip(
        weights, gradients, firsts, seconds, counts, strict=True
    ):
        steps = float(count)
        if decoupled:
            weight.mul_(1 - lr * weight_decay)
        slope = gradient if decoupled else gradient + weight_decay * weight
        first.mul_(beta1).add_((1 - beta1) * slope)
        second.mul_(beta2).add_((1 - beta2) * slope.square())
        root = (second / (1 - beta2**steps)).sqrt() + eps
        weight.sub_(lr * (first / (1 - beta1**steps)) / root)


adam_formula = partial(_adam, False)
adamw_formula = partial(_adam, True)
