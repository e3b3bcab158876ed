"""Rules that withstand wrong updates: median, trimmed mean, Krum (docs/method.md#robust-rules).

They ignore the clients' weights and need all updates at once: memory grows with the clients.
Tensors sent by the same clients form a block, and each block is aggregated over its own senders,
so clients in different phases are never mixed. In this project, honest clients have disjoint
classes of different datasets, so their updates differ strongly: Krum keeps one client's, and the
other rules discard directions that few clients share. Expect lower accuracy where nobody attacks.

Among too few clients, no rule withstands f = ``byzantine`` wrong ones. `require_tolerance` refuses
such a federation before it trains; in a round, a block that is too small keeps its old values.

Shapes: m clients of a block.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fedmvp.config import FederationParams
from fedmvp.errors import ConfigError
from fedmvp.federation.client import ClientUpdate
from fedmvp.federation.schedule import cohort_size

__all__ = [
    "RULES",
    "blocks",
    "krum_scores",
    "median",
    "require_tolerance",
    "robust_average",
    "squared_distances",
    "tolerance_gap",
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
    cut = trimmed(fraction, len(stack))
    return stack.sort(dim=0).values[cut : len(stack) - cut].mean(dim=0)


def trimmed(fraction: float, count: int) -> int:
    """Return ⌊βm⌋, the clients cut at each end."""
    # Without the small term, 0.29 · 100 = 28.999999999999996 would be rounded down to 28.
    return int(fraction * count + 1e-9)


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
        Gives, for a federation section and m, how many clients with the best Krum scores are kept;
        None keeps all.
    combine : callable
        Maps the section and a float64 stack [m, …] to […].
    gap : callable
        Gives, for the section and m, the reason in numbers why the rule does not withstand f wrong
        clients of m; None where it does.
    """

    keep: Callable[[FederationParams, int], int] | None
    combine: Callable[[FederationParams, Tensor], Tensor]
    gap: Callable[[FederationParams, int], str | None]


def _median_gap(params: FederationParams, count: int) -> str | None:
    wrong = params.byzantine
    if count >= 2 * wrong + 1:
        return None
    return f"a median needs 2·{wrong} + 1 = {2 * wrong + 1} clients, most of them right"


def _trimmed_gap(params: FederationParams, count: int) -> str | None:
    cut = trimmed(params.trim_fraction, count)
    if cut >= params.byzantine:
        return None
    return (
        f"trim_fraction cuts ⌊{params.trim_fraction:g}·{count}⌋ = {cut} at each end, "
        f"{params.byzantine} would have to be cut"
    )


def _krum_gap(params: FederationParams, count: int) -> str | None:
    wrong = params.byzantine
    if count >= 2 * wrong + 3:
        return None
    return f"Krum needs 2·{wrong} + 3 = {2 * wrong + 3} clients"


def _multi_krum_gap(params: FederationParams, count: int) -> str | None:
    right = count - params.byzantine
    if (gap := _krum_gap(params, count)) is not None or params.krum_keep <= right:
        return gap
    return (
        f"krum_keep averages {params.krum_keep} clients, only {count} − {params.byzantine} = "
        f"{right} are right"
    )


RULES: dict[str, Rule] = {
    "median": Rule(None, lambda _, stack: median(stack), _median_gap),
    "trimmed_mean": Rule(None, lambda p, stack: trimmed_mean(stack, p.trim_fraction), _trimmed_gap),
    "krum": Rule(lambda _, count: 1, lambda _, stack: mean(stack), _krum_gap),
    "multi_krum": Rule(
        lambda p, count: min(p.krum_keep, count), lambda _, stack: mean(stack), _multi_krum_gap
    ),
}
"""``federation.aggregation`` → rule."""


def tolerance_gap(federation: FederationParams, count: int) -> str | None:
    """Return why the rule does not withstand `byzantine` wrong clients among `count`.

    None where it withstands them, where none are expected, and for rules that promise nothing.
    """
    if federation.byzantine == 0 or federation.aggregation not in RULES:
        return None
    return RULES[federation.aggregation].gap(federation, count)


def require_tolerance(federation: FederationParams, clients: int, fold: str) -> None:
    """Refuse a federation with too few clients a round for what its rule promises.

    Parameters
    ----------
    clients : int
        N, all clients of the fold.

    Raises
    ------
    ConfigError
        With the calculation, and the smallest cohort that is large enough.
    """
    count = cohort_size(clients, federation.participation)
    gap = tolerance_gap(federation, count)
    if gap is None:
        return
    enough = (m for m in range(count + 1, clients + 1) if tolerance_gap(federation, m) is None)
    least = next(enough, None)
    way = (
        f"no cohort of these {clients} can: change trim_fraction or krum_keep, or lower byzantine"
        if least is None
        else f"with at least {least} clients a round it can "
        f"(participation {math.ceil(1000 * least / clients) / 1000:g})"
    )
    raise ConfigError(
        f"cannot withstand {federation.byzantine} wrong of {count} clients a round "
        f"(fold {fold}, {clients} clients): {gap}",
        where="params.yaml: federation.aggregation",
        value=federation.aggregation,
        hint=f"{way}; or set federation.byzantine: 0 to run the rule without that promise",
    )


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
    current: Mapping[str, Tensor],
    updates: Sequence[ClientUpdate],
    federation: FederationParams,
    left: Callable[[int, str], None] = lambda count, gap: None,
) -> dict[str, Tensor]:
    """Return the next global tensors; those sent by no or too few clients keep their values.

    Parameters
    ----------
    left : callable
        Called with the size of each block that keeps its values, and why (`tolerance_gap`).
    """
    rule = RULES[federation.aggregation]
    result = dict(current)
    for positions, names in blocks(updates).items():
        gap = tolerance_gap(federation, len(positions))
        if gap is not None:
            left(len(positions), gap)
            continue
        members = [updates[position].tensors for position in positions]
        if rule.keep is not None:
            scores = krum_scores(squared_distances(members, names), federation.byzantine)
            best = scores.argsort(stable=True)[: rule.keep(federation, len(members))]
            members = [members[int(position)] for position in best.sort().values]
        for name in names:
            stack = torch.stack([tensors[name].double() for tensors in members])
            result[name] = rule.combine(federation, stack).to(current[name].dtype)
    return result
