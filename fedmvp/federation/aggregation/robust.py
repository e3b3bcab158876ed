"""Rules that withstand wrong updates: median, trimmed mean, Krum (docs/method.md#robust-rules).

They ignore the clients' weights and need all updates at once: memory grows with the clients.
Tensors sent by the same clients form a block, and each block is aggregated over its own senders,
so clients in different phases never meet. Honest clients of this project hold disjoint
classes of different datasets, so their updates differ strongly: Krum keeps one client's and the
others discard directions few clients share. Expect a drop where nobody attacks.

Shapes: m clients of a block.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fedmvp.config import FederationParams
from fedmvp.federation.client import ClientUpdate

__all__ = [
    "RULES",
    "blocks",
    "krum_scores",
    "median",
    "robust_average",
    "squared_distances",
    "trimmed_mean",
]


def mean(stack: Tensor) -> Tensor:
    """Return the mean over clients, [m, …] → […]."""
    return stack.mean(dim=0)


def median(stack: Tensor) -> Tensor:
    """Return the median of each coordinate over clients, [m, …] → […].

    The mean of the two middle values for an even number of clients.
    """
    ordered = stack.sort(dim=0).values
    count = len(ordered)
    return (ordered[(count - 1) // 2] + ordered[count // 2]) / 2


def trimmed_mean(stack: Tensor, fraction: float) -> Tensor:
    """Return the mean of each coordinate without its ⌊βm⌋ lowest and highest, [m, …] → […].

    Parameters
    ----------
    fraction : float
        β, under one half.
    """
    # The small term keeps 0.29 · 100 = 28.999999999999996 from losing one.
    cut = int(fraction * len(stack) + 1e-9)
    return stack.sort(dim=0).values[cut : len(stack) - cut].mean(dim=0)


def squared_distances(members: Sequence[Mapping[str, Tensor]], names: Sequence[str]) -> Tensor:
    """Return ‖w_i - w_j‖² over the tensors of `names` together, float64 [m, m]."""
    distances = torch.zeros(len(members), len(members), dtype=torch.float64)
    for name in names:
        stack = torch.stack([tensors[name].double().flatten() for tensors in members])
        for row in range(len(members) - 1):
            part = (stack[row + 1 :] - stack[row]).square().sum(dim=1)
            distances[row, row + 1 :] += part.cpu()
    return distances + distances.T


def krum_scores(distances: Tensor, byzantine: int) -> Tensor:
    """Return each client's sum of squared distances to its m - f - 2 nearest others, [m].

    At least one neighbour is counted, as in Flower; the theory asks for m ≥ 2f + 3.
    """
    count = len(distances)
    neighbours = min(max(count - byzantine - 2, 1), count - 1)
    others = distances.clone().fill_diagonal_(torch.inf)
    return others.sort(dim=1).values[:, :neighbours].sum(dim=1)


@dataclass(frozen=True)
class Rule:
    """Which clients of a block are kept, and how their tensors are combined.

    Parameters
    ----------
    keep : callable
        From the section and m to the number of clients with the best Krum scores that are kept;
        None keeps all.
    combine : callable
        From the section and a float64 stack [m, …] to […].
    """

    keep: Callable[[FederationParams, int], int] | None
    combine: Callable[[FederationParams, Tensor], Tensor]


RULES: dict[str, Rule] = {
    "median": Rule(None, lambda _, stack: median(stack)),
    "trimmed_mean": Rule(None, lambda p, stack: trimmed_mean(stack, p.trim_fraction)),
    "krum": Rule(lambda _, count: 1, lambda _, stack: mean(stack)),
    "multi_krum": Rule(lambda p, count: min(p.krum_keep, count), lambda _, stack: mean(stack)),
}
"""``federation.aggregation`` → rule."""


def blocks(updates: Sequence[ClientUpdate]) -> dict[tuple[int, ...], list[str]]:
    """Return the tensors sent by each set of clients (positions in `updates`)."""
    senders: dict[str, list[int]] = {}
    for position, update in enumerate(updates):
        for name in update.tensors:
            senders.setdefault(name, []).append(position)
    grouped: dict[tuple[int, ...], list[str]] = {}
    for name, positions in senders.items():
        grouped.setdefault(tuple(positions), []).append(name)
    return grouped


def robust_average(
    current: Mapping[str, Tensor], updates: Sequence[ClientUpdate], federation: FederationParams
) -> dict[str, Tensor]:
    """Return the next global tensors; those nobody sent stay."""
    rule = RULES[federation.aggregation]
    result = dict(current)
    for positions, names in blocks(updates).items():
        members = [updates[position].tensors for position in positions]
        if rule.keep is not None:
            scores = krum_scores(squared_distances(members, names), federation.byzantine)
            best = scores.argsort(stable=True)[: rule.keep(federation, len(members))]
            members = [members[int(position)] for position in best.sort().values]
        for name in names:
            stack = torch.stack([tensors[name].double() for tensors in members])
            result[name] = rule.combine(federation, stack).to(current[name].dtype)
    return result
