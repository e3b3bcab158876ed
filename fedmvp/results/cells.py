"""Typed access to a row of a result's table; errors name file, column and value."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fedmvp.csv_files import read_csv
from fedmvp.errors import DataError

__all__ = ["RERUN", "Cells", "table_rows"]

RERUN = "run `dvc repro` to build it again"
"""The hint for a damaged or incomplete result."""


def table_rows(path: Path) -> list[Cells]:
    """Return the rows of a table that has at least one.

    Raises
    ------
    DataError
        When the file is missing, not a table, or empty.
    """
    rows = read_csv(path)
    if not rows:
        raise DataError("no rows", where=path, hint=RERUN)
    return [Cells(row, path) for row in rows]


@dataclass(frozen=True, slots=True)
class Cells:
    """A row; each method raises DataError for a cell that is missing or of another kind."""

    row: Mapping[str, str]
    path: Path

    def text(self, column: str) -> str:
        """Return a cell as it is."""
        value = self.row.get(column)
        if value is None:
            raise DataError(f"column {column!r} is missing", where=self.path, hint=RERUN)
        return value

    def integer(self, column: str) -> int:
        """Return a whole number."""
        try:
            return int(self.text(column))
        except ValueError:
            raise self._wrong(column, "whole number") from None

    def number(self, column: str) -> float | None:
        """Return a number, which may be NaN or infinite; None for an empty cell."""
        text = self.text(column)
        try:
            return float(text) if text else None
        except ValueError:
            raise self._wrong(column, "number") from None

    def fraction(self, column: str) -> float:
        """Return a number in [0, 1]."""
        value = self.number(column)
        if value is None or not math.isfinite(value) or not 0 <= value <= 1:
            raise self._wrong(column, "fraction in [0, 1]")
        return value

    def _wrong(self, column: str, kind: str) -> DataError:
        return DataError(
            f"column {column!r} is not a {kind}",
            where=self.path,
            value=self.row[column],
            hint=RERUN,
        )
