"""Bounding the L2 norm of a client's whole update (docs/method.md#norm-clipping)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from fedmvp.federation.client import ClientUpdate

__all__ = ["clip_factor", "clip_update", "deltas"]


def deltas(update: ClientUpdate, current: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return Δ_i = w_i - w_t of every tensor a client sent, float64."""
    return {
        name: tensor.double() - current[name].to(tensor.device)
        for name, tensor in update.tensors.items()
    }


def clip_factor(delta: Mapping[str, Tensor], bound: float) -> float:
    """Return min(1, S / ‖Δ‖) with the norm over all tensors together; 1 for a zero update."""
    norm = math.sqrt(sum(float(tensor.square().sum()) for tensor in delta.values()))
    return bound / norm if norm > bound else 1.0


def clip_update(update: ClientUpdate, current: Mapping[str, Tensor], bound: float) -> ClientUpdate:
    """Return the update with Δ_i · min(1, S / ‖Δ_i‖); itself, bit for bit, within the bound."""
    delta = deltas(update, current)
    factor = clip_factor(delta, bound)
    if factor == 1:
        return update
    clipped = {
        name: (current[name].to(tensor.device) + factor * tensor).to(update.tensors[name].dtype)
        for name, tensor in delta.items()
    }
    return replace(update, tensors=clipped)
