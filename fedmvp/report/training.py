"""What happened during training: curves, phases and the bytes sent."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from fedmvp.report.estimates import Estimate, estimate
from fedmvp.results.rounds import RoundRow
from fedmvp.results.runs import Run

__all__ = [
    "CURVES",
    "Curve",
    "Phases",
    "RoundSummary",
    "Traffic",
    "curve_names",
    "curves",
    "phases",
    "summarise",
    "traffic",
    "traffic_curve",
]

# Quantities of a round that are averaged over its clients.
CURVES: Mapping[str, Callable[[RoundRow], float | None]] = {
    "loss": lambda row: row.loss,
    "loss_ce": lambda row: row.loss_ce,
    "loss_con": lambda row: row.loss_con,
    "accuracy": lambda row: row.accuracy,
}

# Only for images that show many classes.
_MANY: Mapping[str, Callable[[RoundRow], float | None]] = {"of1": lambda row: row.of1}


def curve_names(runs: Iterable[Run]) -> tuple[str, ...]:
    """Return the quantities to write for some runs; multi-label ones only if a run has them."""
    many = any(row.of1 is not None for run in runs for row in run.rounds)
    return (*CURVES, *(_MANY if many else ()))


@dataclass(frozen=True)
class RoundSummary:
    """A round over all its client updates; a mean is None where nothing was recorded.

    `lowest` is the lowest training accuracy of a client.
    """

    means: Mapping[str, float | None]
    lowest: float | None
    bytes_up: int
    bytes_down: int


@dataclass(frozen=True)
class Curve:
    """A quantity per round: mean over clients (of all folds), estimated over seeds.

    Rounds are counted from 1 here, as people count; files count from 0.
    """

    method: str
    rounds: tuple[int, ...]
    values: tuple[Estimate, ...]


@dataclass(frozen=True)
class Traffic:
    """Communication of one method in one setting, in bytes, mean over seeds.

    ``up`` is from client to server. A setting with several folds trains one federation per fold;
    the figures are those of one federation (mean over folds).

    Attributes
    ----------
    clients : float
        Clients per round.
    up_client, down_client : float
        Bytes of one client in one round.
    up_round, down_round : float
        Bytes of all clients of one round.
    up_total, down_total : float
        Bytes of all rounds.
    """

    rounds: int
    clients: float
    up_client: float
    down_client: float
    up_round: float
    down_round: float
    up_total: float
    down_total: float


@dataclass(frozen=True)
class Phases:
    """Phases of client updates: the share of each (all seeds), and the round the last began in."""

    shares: tuple[tuple[str, float], ...]
    first_round: int


def summarise(run: Run) -> dict[int, RoundSummary]:
    """Return every round of a run: means over its client updates, and their bytes."""
    by_round: dict[int, list[RoundRow]] = {}
    for row in run.rounds:
        by_round.setdefault(row.round, []).append(row)
    return {
        number: RoundSummary(
            means={
                name: _mean([pick(row) for row in rows])
                for name, pick in {**CURVES, **_MANY}.items()
            },
            lowest=min((row.accuracy for row in rows if row.accuracy is not None), default=None),
            bytes_up=sum(row.bytes_up for row in rows),
            bytes_down=sum(row.bytes_down for row in rows),
        )
        for number, rows in sorted(by_round.items())
    }


def curves(runs: Sequence[Run]) -> dict[str, Curve]:
    """Return the curves of one method over its seeds, without quantities never recorded."""
    per_run = [summarise(run) for run in runs]
    found = {
        name: _over_seeds(
            runs[0].method, [{n: s.means[name] for n, s in one.items()} for one in per_run]
        )
        for name in (*CURVES, *_MANY)
    }
    return {name: curve for name, curve in found.items() if curve is not None}


def traffic_curve(runs: Sequence[Run]) -> Curve | None:
    """Return the bytes up and down of all clients of a round, mean over folds."""
    series: list[Mapping[int, float | None]] = []
    for run in runs:
        folds = len({row.fold for row in run.rounds}) or 1
        rounds = summarise(run)
        series.append({n: (s.bytes_up + s.bytes_down) / folds for n, s in rounds.items()})
    return _over_seeds(runs[0].method, series)


def traffic(runs: Sequence[Run]) -> Traffic:
    """Return the communication of one method; `runs` are its seeds in one setting."""
    per_run = [_traffic(run) for run in runs]
    count = len(per_run)
    return Traffic(
        rounds=max(t.rounds for t in per_run),
        clients=math.fsum(t.clients for t in per_run) / count,
        up_client=math.fsum(t.up_client for t in per_run) / count,
        down_client=math.fsum(t.down_client for t in per_run) / count,
        up_round=math.fsum(t.up_round for t in per_run) / count,
        down_round=math.fsum(t.down_round for t in per_run) / count,
        up_total=math.fsum(t.up_total for t in per_run) / count,
        down_total=math.fsum(t.down_total for t in per_run) / count,
    )


def phases(runs: Sequence[Run]) -> Phases | None:
    """Return the phases of a method's updates, or None when it has a single phase."""
    rows = [row for run in runs for row in run.rounds]
    first: dict[str, int] = {}
    for row in sorted(rows, key=lambda row: row.round):
        first.setdefault(row.phase, row.round)
    if len(first) < 2:
        return None
    shares = tuple((phase, sum(row.phase == phase for row in rows) / len(rows)) for phase in first)
    return Phases(shares, list(first.values())[-1] + 1)


def _traffic(run: Run) -> Traffic:
    updates = len(run.rounds)
    if not updates:
        return Traffic(0, 0, 0, 0, 0, 0, 0, 0)
    rounds = len({row.round for row in run.rounds})
    folds = len({row.fold for row in run.rounds})
    up = sum(row.bytes_up for row in run.rounds)
    down = sum(row.bytes_down for row in run.rounds)
    return Traffic(
        rounds=rounds,
        clients=updates / (folds * rounds),
        up_client=up / updates,
        down_client=down / updates,
        up_round=up / (folds * rounds),
        down_round=down / (folds * rounds),
        up_total=up / folds,
        down_total=down / folds,
    )


def _over_seeds(method: str, series: Sequence[Mapping[int, float | None]]) -> Curve | None:
    gathered: dict[int, list[float]] = {}
    for one in series:
        for number, value in one.items():
            if value is not None:
                gathered.setdefault(number, []).append(value)
    if not gathered:
        return None
    numbers = sorted(gathered)
    values = tuple(estimate(gathered[number]) for number in numbers)
    return Curve(method, tuple(number + 1 for number in numbers), values)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None
