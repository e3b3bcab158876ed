"""rounds.csv, a row for each client in each round, and failures.json, the updates not used."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from fedmvp.csv_files import write_csv
from fedmvp.errors import DataError
from fedmvp.files import read_json, write_json
from fedmvp.results.cells import RERUN, table_rows
from fedmvp.results.files import FAILURES, ROUNDS

__all__ = [
    "MULTI_ROUND_COLUMNS",
    "ROUND_COLUMNS",
    "Failure",
    "RoundRow",
    "failure_of",
    "read_failures",
    "read_rounds",
    "write_failures",
    "write_rounds",
]


class RoundRow(NamedTuple):
    """A row of rounds.csv: one client in one round, counted from 0; absent parts are None.

    Losses and accuracy are means over the client's images; bytes are those of fp32. With many
    labels, `loss_ce` is the head's loss, and `of1` replaces `accuracy`.
    """

    fold: str
    round: int
    client: str
    phase: str
    images: int
    loss: float | None = None
    loss_ce: float | None = None
    loss_con: float | None = None
    accuracy: float | None = None
    learning_rate: float | None = None
    bytes_up: int = 0
    bytes_down: int = 0
    of1: float | None = None

    def finite(self) -> RoundRow:
        """Return the row with None for numbers that cannot be plotted, e.g. of a diverged loss."""
        return RoundRow(
            *(
                None if isinstance(value, float) and not math.isfinite(value) else value
                for value in self
            )  # type: ignore[arg-type]
        )


ROUND_COLUMNS = tuple(name for name in RoundRow._fields if name != "of1")

MULTI_ROUND_COLUMNS = RoundRow._fields
"""Columns for runs on images that show many classes."""


@dataclass(frozen=True)
class Failure:
    """A client update that could not be used, in a round counted from 0."""

    fold: str
    round: int
    client: str
    reason: str
    trace: str


def failure_of(fold: str, entry: Mapping[str, Any]) -> Failure:
    """Return the failure that an entry of failures.json or of a checkpoint's log describes."""
    return Failure(
        fold,
        int(entry["round_index"]),
        str(entry["client"]),
        str(entry["error"]),
        str(entry["trace"]),
    )


def write_rounds(folder: Path, rows: Iterable[Mapping[str, Any]], *, multi: bool) -> None:
    """Write rounds.csv.

    Parameters
    ----------
    multi : bool
        Whether the images show many classes.
    """
    write_csv(folder / ROUNDS, MULTI_ROUND_COLUMNS if multi else ROUND_COLUMNS, rows)


def write_failures(folder: Path, failures: Iterable[Mapping[str, Any]]) -> None:
    """Write failures.json: an entry, as `failure_of` reads it, for each update not used."""
    write_json(folder / FAILURES, list(failures))


def read_rounds(path: Path) -> tuple[RoundRow, ...]:
    """Read rounds.csv.

    Raises
    ------
    DataError
        When the file is missing, or a cell is not what its column declares.
    """
    return tuple(
        RoundRow(
            fold=cell.text("fold"),
            round=cell.integer("round"),
            client=cell.text("client"),
            phase=cell.text("phase"),
            images=cell.integer("images"),
            loss=cell.number("loss"),
            loss_ce=cell.number("loss_ce"),
            loss_con=cell.number("loss_con"),
            accuracy=cell.number("accuracy"),
            learning_rate=cell.number("learning_rate"),
            bytes_up=cell.integer("bytes_up"),
            bytes_down=cell.integer("bytes_down"),
            of1=cell.number("of1") if "of1" in cell.row else None,
        )
        for cell in table_rows(path)
    )


def read_failures(path: Path) -> tuple[Failure, ...]:
    """Read failures.json; a run without that file has none.

    Raises
    ------
    DataError
        When an entry is malformed.
    """
    if not path.exists():
        return ()
    try:
        return tuple(failure_of(str(entry["fold"]), entry) for entry in read_json(path))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"malformed entry ({type(error).__name__}: {error})", where=path, hint=RERUN
        ) from None
