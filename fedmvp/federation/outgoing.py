"""What may leave a site: checked against the site's copy of the plan, which no message changes."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from fedmvp.errors import ClientFailure
from fedmvp.federation.client import ClientUpdate
from fedmvp.methods.base import Method

__all__ = ["check_outgoing", "update_norm"]


def update_norm(sent: Mapping[str, Tensor], received: Mapping[str, Tensor]) -> float:
    """Return ‖w_i - w_t‖₂ over all tensors that are sent, in float64."""
    squares = [
        (tensor.double() - received[name].double()).square().sum().item()
        for name, tensor in sent.items()
    ]
    return math.sqrt(sum(squares))


def check_outgoing(
    update: ClientUpdate, received: Mapping[str, Tensor], method: Method, largest_norm: float
) -> None:
    """Refuse to send anything but the tensors of the update's phase, close to those received.

    Raises
    ------
    ClientFailure
        For other names, shapes or formats, values that are not finite, or a norm above
        `largest_norm` (``max_update_norm`` of site.yaml).
    """
    where = f"outgoing update of client {update.client}"
    allowed = method.communicated(update.phase)
    if stray := next((name for name in update.tensors if name not in allowed), None):
        raise ClientFailure("tensor may not be sent", where=where, value=stray, hint=_HINT)
    if lacking := next((name for name in allowed if name not in update.tensors), None):
        raise ClientFailure("tensor is missing", where=where, value=lacking, hint=_HINT)
    own = method.tensors()
    for name, tensor in update.tensors.items():
        if tensor.dtype != torch.float32 or tensor.shape != own[name].shape:
            found = f"{tensor.dtype} {tuple(tensor.shape)}"
            raise ClientFailure(f"tensor {name} is {found}", where=where, hint=_HINT)
    norm = update_norm(update.tensors, received)
    if not norm <= largest_norm:  # true for NaN, too
        raise ClientFailure(
            f"norm is {norm:.4g}, more than this site allows",
            where=where,
            value=largest_norm,
            hint="lower federation.learning_rate, or have the site raise max_update_norm",
        )


_HINT = "this is a fault of the program: report it"
