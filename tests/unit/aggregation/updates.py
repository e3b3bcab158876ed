"""Clients' updates made by hand, and what a rule makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from fedmvp.federation.aggregation.rules import Aggregator
from fedmvp.federation.aggregation.server import STEPS
from fedmvp.federation.client import ClientUpdate
from tests.toys import federation

#: Rules whose state moves the tensors even where the clients agree with the server.
STATEFUL = tuple(STEPS)


def update(client: str, images: int = 1, **tensors: Sequence[float] | Tensor) -> ClientUpdate:
    values = {name: torch.as_tensor(tensor).float() for name, tensor in tensors.items()}
    return ClientUpdate(client, values, images, "all", {}, 0)


def aggregate(
    current: Mapping[str, Sequence[float] | Tensor],
    updates: Sequence[ClientUpdate],
    state: dict[str, Tensor] | None = None,
    **section: Any,
) -> tuple[dict[str, list[float]], dict[str, Tensor]]:
    """Return the next tensors as lists, and the server's state."""
    rule = Aggregator(federation(**section), state or {}, seed=1)
    tensors = {name: torch.as_tensor(value).float() for name, value in current.items()}
    after = rule(tensors, iter(updates), 0, len(updates))
    return {name: tensor.tolist() for name, tensor in after.items()}, rule.state


def three(name: str = "w") -> list[ClientUpdate]:
    """Clients at 1, 2 and 6 with 1, 1 and 2 images."""
    return [
        update("a", 1, **{name: [1.0]}),
        update("b", 1, **{name: [2.0]}),
        update("c", 2, **{name: [6.0]}),
    ]
