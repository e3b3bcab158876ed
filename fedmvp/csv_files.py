"""CSV tables: byte-reproducible, and harmless where a spreadsheet opens them."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fedmvp.errors import DataError
from fedmvp.files import MAX_DATA_BYTES, RESTORE, read_limited, write_text

__all__ = ["read_csv", "read_rows", "write_csv"]


_DOS_END = "\r\n"


_FORMULA = re.compile(r"^'('*[=+\-@\t\r])")
"""A marked cell: an apostrophe before what spreadsheets take for a formula, marks included."""


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows with Unix line ends; floats in shortest round-trip form, None as empty.

    A text that a spreadsheet would take for a formula gets an apostrophe in front, as
    spreadsheets themselves mark a text; `read_csv` takes it off again.
    """
    lines = _UnixLines()
    writer = csv.DictWriter(lines, fieldnames=list(columns))
    writer.writeheader()
    writer.writerows({key: _harmless(value) for key, value in row.items()} for row in rows)
    write_text(path, "".join(lines.written))


def read_csv(path: Path) -> list[dict[str, str]]:
    """Read a CSV file with a header line; every row has a cell for every column.

    Raises
    ------
    DataError
        When the file is missing or not such a table.
    """
    header, *rows = list(read_rows(path)) or [[]]
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise DataError(
                "row does not have as many cells as the header",
                where=path,
                value=f"row {number}",
                hint=RESTORE,
            )
    return [dict(zip(header, row, strict=True)) for row in rows]


def read_rows(path: Path) -> Iterator[list[str]]:
    """Yield the rows of a CSV file, the header first, with cells as `write_csv` was given them.

    Raises
    ------
    DataError
        When the file is missing or not such a table.
    """
    try:
        lines = io.StringIO(read_limited(path, MAX_DATA_BYTES).decode("utf-8-sig"), newline="")
        for row in csv.reader(lines, strict=True):
            if row:
                yield [_FORMULA.sub(r"\1", cell) if cell[:1] == "'" else cell for cell in row]
    except FileNotFoundError:
        raise DataError("file is missing", where=path, hint="run `dvc repro` to build it") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"not a CSV table ({error})", where=path, hint=RESTORE) from None


class _UnixLines:
    """Takes rows with DOS line ends: told Unix ones, csv (before 3.13) would not quote a CR."""

    def __init__(self) -> None:
        self.written: list[str] = []

    def write(self, row: str) -> None:
        self.written.append(f"{row.removesuffix(_DOS_END)}\n")


def _harmless(value: Any) -> Any:
    """Mark a text that begins as a formula does; a number in words is a number."""
    if not isinstance(value, str) or not _FORMULA.match(f"'{value}") or _is_number(value):
        return value
    return f"'{value}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
