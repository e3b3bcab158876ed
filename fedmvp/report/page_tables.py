"""The page's tables of scores and communication: typed cells and rows, ready for the template."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from fedmvp.methods import method_title
from fedmvp.report.estimates import Estimate, SettingScores, verdict
from fedmvp.report.format import bytes_text, percent, points, spread_text
from fedmvp.report.protocols import Metric
from fedmvp.report.published import PublishedRow
from fedmvp.report.study import Study
from fedmvp.report.targets import target_rows
from fedmvp.report.training import traffic
from fedmvp.wording import count_text

__all__ = [
    "Cell",
    "Line",
    "communication",
    "dataset_tables",
    "main_table",
    "measured_column",
    "part_rows",
    "summary_table",
    "target_table",
]

_Key = TypeVar("_Key")


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
