"""What the page shows in tables: typed cells, rows and columns, ready for the template."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from fedmvp.methods import method_title
from fedmvp.partition.model import Partition
from fedmvp.report.estimates import Estimate, SettingScores, verdict
from fedmvp.report.format import bytes_text, percent, points, spread_text
from fedmvp.report.protocols import Metric
from fedmvp.report.published import PublishedRow
from fedmvp.report.study import Study
from fedmvp.report.tables import target_rows
from fedmvp.report.training import phases, traffic
from fedmvp.wording import count_text, plural

__all__ = [
    "Cell",
    "Line",
    "communication",
    "dataset_tables",
    "main_table",
    "measured_column",
    "parameters",
    "part_rows",
    "protocol_rows",
    "summary_table",
    "target_table",
    "training_notes",
]

_Key = TypeVar("_Key")
_PERCENT = "\N{NO-BREAK SPACE}%"


@dataclass(frozen=True)
class Cell:
    """A number of a table.

    Attributes
    ----------
    kind : {"measured", "published", "none"}
        Where the number comes from; only measured ones can be marked as best.
    text, spread : str
        In percent; `spread` is empty for a single seed and for numbers without a spread.
    """

    kind: Literal["measured", "published", "none"]
    text: str = "—"
    spread: str = ""
    best: bool = False


@dataclass(frozen=True)
class Line:
    """A row of a table: a method (or part) and its cells, followed by the plain texts `extra`."""

    label: str
    style: str
    cells: tuple[Cell, ...]
    extra: tuple[str, ...] = ()


def measured_column(values: Mapping[_Key, Estimate | None]) -> dict[_Key, Cell]:
    """Return the measured cells of a column or row; the highest, as printed, are marked as best."""
    shown = {key: percent(value.mean) for key, value in values.items() if value is not None}
    top = max((float(text) for text in shown.values()), default=None)
    return {
        key: Cell("none")
        if value is None
        else Cell(
            "measured",
            shown[key],
            spread_text(value.std),
            best=len(shown) > 1 and float(shown[key]) == top,
        )
        for key, value in values.items()
    }


def _metric_column(scores: SettingScores, metric: Metric, key: str) -> dict[str, Cell]:
    """Return a metric's column; in that of a random order, no cell is marked as best."""
    cells = measured_column({method: scores.table[method].get(key) for method in scores.methods})
    if metric in scores.protocol.scored:
        return cells
    return {method: replace(cell, best=False) for method, cell in cells.items()}


def _published(row: PublishedRow, keys: Iterable[str]) -> tuple[Cell, ...]:
    return tuple(
        Cell("published", percent(row.values[key].value)) if key in row.values else Cell("none")
        for key in keys
    )


def summary_table(study: Study) -> list[Line]:
    """Return the overview: a row per method, a cell per setting, and the mean rank."""
    columns = [
        measured_column(
            {m: scores.primary(m) if m in scores.table else None for m in study.methods}
        )
        for scores in study.scores.values()
    ]
    lines = []
    for method in study.methods:
        ranks = [by_method[method] for by_method in study.ranks.values() if method in by_method]
        lines.append(
            Line(
                method_title(method),
                study.styles[method],
                tuple(column[method] for column in columns),
                (f"{sum(ranks) / len(ranks):.1f}",),
            )
        )
    return lines


def main_table(study: Study, setting: str) -> tuple[list[Line], list[tuple[str, str, list[Line]]]]:
    """Return a setting's measured rows, and its published rows by source and conditions."""
    scores = study.scores[setting]
    keys = [metric.key for metric in scores.protocol.metrics]
    columns = [_metric_column(scores, metric, metric.key) for metric in scores.protocol.metrics]
    result, ranks = verdict(scores), study.ranks[setting]
    measured = []
    for method in scores.methods:
        difference = None
        if result.reference is not None and method != result.reference:
            difference = scores.primary(method).mean - scores.primary(result.reference).mean
        measured.append(
            Line(
                method_title(method),
                study.styles[method],
                tuple(column[method] for column in columns),
                (points(difference), f"{ranks[method]:g}", str(scores.primary(method).seeds)),
            )
        )
    published = []
    for table in study.published[setting]:
        rows = [
            Line(row.title, "published", _published(row, keys), (row.evidence,))
            for row in table.rows
            if any(key in row.values for key in keys)
        ]
        if rows:
            published.append((table.source, table.conditions, rows))
    return measured, published


def dataset_tables(study: Study, setting: str) -> list[tuple[str, list[Line]]]:
    """Return, for each dataset of a base-to-new setting, methods x headline metrics."""
    scores = study.scores[setting]
    keys = [metric.key for metric in scores.protocol.metrics]
    datasets = dict.fromkeys(part for key in keys for part in scores.parts.get(key, ()))
    published = [row for table in study.published[setting] for row in table.rows]
    tables = []
    for dataset in datasets:
        names = [f"{key}/{dataset}" for key in keys]
        columns = [
            _metric_column(scores, metric, name)
            for metric, name in zip(scores.protocol.metrics, names, strict=True)
        ]
        lines = [
            Line(method_title(m), study.styles[m], tuple(column[m] for column in columns))
            for m in scores.methods
        ]
        lines += [
            Line(row.title, "published", _published(row, names))
            for row in published
            if any(name in row.values for name in names)
        ]
        tables.append((dataset, lines))
    return tables


def target_table(study: Study, setting: str) -> tuple[list[Line], list[PublishedRow]]:
    """Return, for a transfer setting, targets x methods, published methods to the right."""
    scores = study.scores[setting]
    keys = _target_keys(scores)
    rows = [
        row
        for table in study.published[setting]
        for row in table.rows
        if any(key in row.values for key, _ in keys)
    ]
    sources = {t.name for t in study.partitions[setting].targets if t.group == "source"}
    lines = []
    for key, label in keys:
        cells = measured_column({m: scores.table[m].get(key) for m in scores.methods})
        published = tuple(_published(row, [key])[0] for row in rows)
        style = "sub" if label != key else ""
        # Domains that were trained on are reported, but not in the mean.
        name = f"{label} (source, not in the mean)" if key in sources else label
        lines.append(Line(name, style, (*(cells[m] for m in scores.methods), *published)))
    return lines, rows


def _target_keys(scores: SettingScores) -> list[tuple[str, str]]:
    """Return metric keys and labels: each target, then its datasets."""
    keys = []
    for target in scores.parts.get("", ()):
        keys.append((target, target))
        keys += [(f"{target}/{part}", part) for part in scores.parts.get(target, ())]
    headline = scores.protocol.primary
    keys += [(f"{headline}/{part}", f"mean of {part}") for part in scores.parts.get(headline, ())]
    return keys


def part_rows(study: Study, setting: str) -> list[tuple[Any, tuple[Cell, ...]]]:
    """Return every row of targets.csv with a cell per method."""
    methods = study.scores[setting].methods
    rows = []
    for row in target_rows(study, setting):
        cells = measured_column({method: row.by_method.get(method) for method in methods})
        rows.append((row.target, tuple(cells[method] for method in methods)))
    return rows


def communication(study: Study, setting: str) -> list[Line]:
    """Return the communication of every trained method, in readable units."""
    lines = []
    for method in study.trained_in(setting):
        t = traffic(study.runs_of(setting, method))
        lines.append(
            Line(
                method_title(method),
                study.styles[method],
                (),
                (
                    count_text(t.rounds),
                    f"{t.clients:.3g}",
                    bytes_text(t.up_client),
                    bytes_text(t.down_client),
                    bytes_text(t.up_round),
                    bytes_text(t.down_round),
                    bytes_text(t.up_total + t.down_total),
                ),
            )
        )
    return lines


def training_notes(study: Study, setting: str) -> list[str]:
    """Return a sentence per method that trains in phases, and per method that diverged."""
    notes = []
    for method in study.trained_in(setting):
        runs = study.runs_of(setting, method)
        if (found := phases(runs)) is not None:
            shares = ", ".join(
                f"{percent(share, 0)}{_PERCENT} {name}" for name, share in found.shares
            )
            notes.append(
                f"Phases of {method_title(method)}'s client updates: {shares};"
                f" {found.shares[-1][0]} from round {found.first_round} on."
            )
        lost = sum(row.loss is None for run in runs for row in run.rounds)
        if lost:
            notes.append(
                f"{method_title(method)}: {plural(lost, 'client update')} without a"
                " finite loss, left out of the curves."
            )
    return notes


def protocol_rows(partition: Partition) -> dict[str, Any]:
    """Return the counts of a setting: clients, data and targets; ranges are over clients."""
    clients, targets = partition.clients, partition.targets
    return {
        "folds": len(partition.folds),
        "clients": count_text(len(clients)),
        "datasets": len({c.dataset for c in clients}),
        "domains": len({c.domain for c in clients if c.domain}) or "mixed",
        "classes": _span([len(c.classes) for c in clients]),
        "images": _span([len(c.train) for c in clients]),
        "images_total": count_text(sum(len(c.train) for c in clients)),
        "targets": count_text(len(targets)),
        "target_images": count_text(sum(len(t.images) for t in targets)),
    }


def _span(values: Sequence[int]) -> str:
    if not values:
        return "—"
    low, high = count_text(min(values)), count_text(max(values))
    return low if low == high else f"{low}–{high}"


def parameters(study: Study) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the params of the runs: those all methods share, then those of each method."""
    flat: dict[str, dict[str, dict[str, None]]] = {}
    for run in study.runs:
        for key, value in _flatten(run.params):
            flat.setdefault(key, {}).setdefault(run.method, {})[value] = None
    values = {
        key: {method: " | ".join(found) for method, found in by_method.items()}
        for key, by_method in sorted(flat.items())
    }
    common = {
        key
        for key, by_method in values.items()
        if len(by_method) > 1 and len(set(by_method.values())) == 1
    }
    shared = [(key, next(iter(values[key].values()))) for key in sorted(common)]
    own = [
        (method_title(m), [(k, v[m]) for k, v in values.items() if k not in common and m in v])
        for m in study.methods
    ]
    return [(title, rows) for title, rows in [("Shared", shared), *own] if rows]


def _flatten(value: Any, prefix: str = "") -> Iterable[tuple[str, str]]:
    """Yield keys and values as params.yaml has them: ``null`` and ``true``, lists with commas."""
    if isinstance(value, Mapping):
        for key in sorted(value):
            yield from _flatten(value[key], f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, list):
        yield prefix, ", ".join(map(_scalar, value))
    else:
        yield prefix, _scalar(value)


def _scalar(value: object) -> str:
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)
