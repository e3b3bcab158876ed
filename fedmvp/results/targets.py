"""targets.csv: the accuracy of a run on each target."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from fedmvp.csv_files import write_csv
from fedmvp.results.cells import Cells, table_rows
from fedmvp.results.files import TARGETS

__all__ = [
    "BEST_ON_TEST_COLUMNS",
    "MULTI_TARGET_COLUMNS",
    "TARGET_COLUMNS",
    "TargetScore",
    "read_targets",
    "write_targets",
]


@dataclass(frozen=True)
class TargetScore:
    """A row of targets.csv: the accuracy of one model on one group of test images.

    Attributes
    ----------
    accuracy : float
        With many labels, the mean average precision; 0 where no class of the target is shown.
    measures : mapping of str to float
        The further columns with a number, for many labels; empty for one.
    """

    fold: str
    group: str
    name: str
    dataset: str
    domain: str
    classes: int
    images: int
    accuracy: float
    measures: Mapping[str, float] = field(default_factory=dict)


_AT_THRESHOLD = ("cp", "cr", "cf1", "cf1_hm", "op", "or", "of1")

TARGET_COLUMNS = tuple(field.name for field in fields(TargetScore) if field.name != "measures")

MULTI_TARGET_COLUMNS = (
    *(name for name in TARGET_COLUMNS if name != "accuracy"),
    "scored",
    "prevalence",
    "map",
    "map_seen",
    "map_unseen",
    "h",
    "threshold",
    *(f"{name}{end}" for end in ("", "_val", "_top3", "_top5") for name in _AT_THRESHOLD),
)
"""Columns for images that show many classes; ``_val`` is at the threshold the clients chose."""

BEST_ON_TEST_COLUMNS = tuple(f"{name}_max" for name in _AT_THRESHOLD)
"""Further columns with ``multilabel.best_on_test``."""


def write_targets(folder: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write targets.csv with one of the sets of columns above."""
    write_csv(folder / TARGETS, columns, rows)


def read_targets(path: Path) -> tuple[TargetScore, ...]:
    """Read targets.csv.

    Raises
    ------
    DataError
        When the file is missing, or a cell is not what its column declares.
    """
    return tuple(_score(cell) for cell in table_rows(path))


def _score(cell: Cells) -> TargetScore:
    many = "map" in cell.row
    names = [name for name in MULTI_TARGET_COLUMNS if name not in TARGET_COLUMNS] if many else []
    names += [name for name in BEST_ON_TEST_COLUMNS if name in cell.row]
    numbers = {name: cell.number(name) for name in names}
    measures = {name: v for name, v in numbers.items() if v is not None and math.isfinite(v)}
    return TargetScore(
        fold=cell.text("fold"),
        group=cell.text("group"),
        name=cell.text("name"),
        dataset=cell.text("dataset"),
        domain=cell.text("domain"),
        classes=cell.integer("classes"),
        images=cell.integer("images"),
        accuracy=measures.get("map", 0.0) if many else cell.fraction("accuracy"),
        measures=measures,
    )
