"""What commands print: JSON for scripts, plain tables for people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import typer

__all__ = ["print_json", "print_table"]


def print_json(value: Any) -> None:
    """Print JSON, in the order of the mappings, for a script to read from stdout."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False))


def print_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print columns aligned by width; numbers to the right, thousands apart."""
    cells = [[_text(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    right = [bool(rows) and all(isinstance(row[i], int | float) for row in rows)
             for i in range(len(header))]  # fmt: skip
    for line in (header, *cells):
        padded = (
            text.rjust(width) if flush else text.ljust(width)
            for text, width, flush in zip(line, widths, right, strict=True)
        )
        typer.echo("  ".join(padded).rstrip())


def _text(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
