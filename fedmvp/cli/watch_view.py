"""What ``fedmvp watch`` shows of a training: curves of its folds, clients of the last round.

A client's pull is its effect on the round's mean accuracy: the mean of all clients minus the mean
of the others. If it is negative, the client pulls the mean down.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import fmean

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fedmvp.errors import printable
from fedmvp.results.rounds import RoundRow
from fedmvp.results.running import FoldLog, Running

__all__ = ["curve", "pulls", "view"]

_BARS = "▁▂▃▄▅▆▇█"
_WIDTH, _CLIENTS = 48, 8
_HURTS = -0.01
"""A pull of at least one percentage point is marked."""


def view(trainings: Sequence[Running]) -> RenderableType:
    """Return what is shown."""
    if not trainings:
        return Text("nothing is being trained (no finished round yet)")
    parts: list[RenderableType] = []
    for training in trainings:
        quiet = f"  last written {training.quiet_s:,.0f} s ago"
        parts.append(Text.assemble((printable(training.title), "bold"), (quiet, "dim")))
        for fold, log in training.folds.items():
            if log.done:
                parts += [_curves(fold, log, training.rounds), _clients(log)]
        waiting = sum(not log.done for log in training.folds.values())
        if waiting:
            parts.append(Text(f"{waiting} of {len(training.folds)} folds have no finished round"))
    return Group(*parts)


def curve(values: Sequence[float], width: int = _WIDTH) -> str:
    """Return values as a line of bars, lowest to highest, the newest to the right.

    Examples
    --------
    >>> curve([0.0, 0.5, 1.0])
    '▁▅█'
    """
    if len(values) > width:
        cuts = [round(i * len(values) / width) for i in range(width + 1)]
        values = [fmean(values[a:b]) for a, b in pairwise(cuts)]
    known = [value for value in values if math.isfinite(value)]
    low, high = min(known, default=0.0), max(known, default=0.0)
    step = (high - low) / (len(_BARS) - 1) or 1.0
    return "".join(
        _BARS[round((value - low) / step)] if math.isfinite(value) else "×" for value in values
    )


def pulls(rows: Sequence[RoundRow]) -> dict[str, float]:
    """Return each client's pull on the mean accuracy of one round; empty for a single client."""
    known = {row.client: row.accuracy for row in rows if row.accuracy is not None}
    if len(known) < 2:
        return {}
    mean = fmean(known.values())
    return {
        client: mean - fmean(value for other, value in known.items() if other != client)
        for client, value in known.items()
    }


def _curves(fold: str, log: FoldLog, rounds: int) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    by_round: dict[int, list[RoundRow]] = {}
    for row in log.rows:
        by_round.setdefault(row.round, []).append(row)
    for column, scale, unit in (("loss", 1.0, ""), ("accuracy", 100.0, " %")):
        means = [
            fmean(known)
            for _, group in sorted(by_round.items())
            if (known := [v for row in group if (v := getattr(row, column)) is not None])
        ]
        if means:
            table.add_row(
                printable(fold),
                f"round {log.done}/{rounds}",
                column,
                curve(means),
                f"{scale * means[-1]:.3g}{unit}",
            )
    return table


def _clients(log: FoldLog) -> Table:
    """Return the last round's clients, those that pull the mean down most first."""
    last = max((row.round for row in log.rows), default=-1)
    rows = {row.client: row for row in log.rows if row.round == last}
    before: Mapping[str, RoundRow] = {row.client: row for row in log.rows if row.round < last}
    pulled = pulls(tuple(rows.values()))
    order = sorted(rows, key=lambda client: (pulled.get(client, 0.0), client))
    table = Table(box=None, padding=(0, 2, 0, 2), title_justify="left")
    for title in ("client", "images", "loss", "accuracy", "before", "pull on the mean"):
        table.add_column(title, justify="left" if title == "client" else "right")
    for client in order[:_CLIENTS]:
        row, pull = rows[client], pulled.get(client)
        hurts = pull is not None and pull <= _HURTS
        earlier = before[client].accuracy if client in before else None
        table.add_row(
            printable(client),
            f"{row.images:,}",
            "" if row.loss is None else f"{row.loss:.3f}",
            _percent(row.accuracy),
            _percent(earlier),
            "" if pull is None else f"{100 * pull:+.1f}{' ↓' if hurts else '  '}",
            style="red" if hurts else None,
        )
    for failure in log.failures:
        if failure.round == last:
            table.add_row(printable(failure.client), "", "", "", "", "gave no update", style="red")
    if len(order) > _CLIENTS:
        table.add_row(f"{len(order) - _CLIENTS} more")
    return table


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"
