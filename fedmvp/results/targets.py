"""targets.csv: the accuracy of a run on each target."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

from fedmvp.results.cells import table_rows

__all__ = ["TARGET_COLUMNS", "TargetScore", "read_targets"]


@dataclass(frozen=True)
class TargetScore:
    """A row of targets.csv: the accuracy of one model on one group of test images."""

    fold: str
    group: str
    name: str
    dataset: str
    domain: str
    classes: int
    images: int
    accuracy: float


TARGET_COLUMNS = tuple(field.name for field in fields(TargetScore))


def read_targets(path: Path) -> tuple[TargetScore, ...]:
    """Read targets.csv.

    Raises
    ------
    DataError
        When the file is missing, or a cell is not what its column declares.
    """
    return tuple(
        TargetScore(
            fold=cell.text("fold"),
            group=cell.text("group"),
            name=cell.text("name"),
            dataset=cell.text("dataset"),
            domain=cell.text("domain"),
            classes=cell.integer("classes"),
            images=cell.integer("images"),
            accuracy=cell.fraction("accuracy"),
        )
        for cell in table_rows(path)
    )
