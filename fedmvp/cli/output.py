"""What commands print: JSON for scripts, plain tables for people.

Names of files, classes and models go through these functions: characters that a terminal could take
for commands are shown as escapes, and a line stays a single line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import typer

from fedmvp.errors import printable

__all__ = ["print_json", "print_table", "say"]

_UNPRINTABLE = re.compile(r"[^\n -~]")


def say(*lines: str, err: bool = False) -> None:
    """Print lines for people, to stdout or stderr."""
    for line in lines:
        typer.echo(printable(line), err=err)


def print_json(value: Any) -> None:
    """Print JSON, in the order of the mappings, for a script to read from stdout."""
    text = json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False)
    # Line feeds are layout; json does not escape all other unprintable characters.
    typer.echo(_UNPRINTABLE.sub(_as_json_escape, text))


def _as_json_escape(found: re.Match[str]) -> str:
    character = found[0]
    return character if character.isprintable() else json.dumps(character)[1:-1]


def print_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print columns aligned by width; numbers to the right, thousands apart."""
    cells = [[_text(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    right = [
        bool(rows) and all(isinstance(row[i], int | float) for row in rows)
        for i in range(len(header))
    ]
    for line in (header, *cells):
        padded = (
            text.rjust(width) if flush else text.ljust(width)
            for text, width, flush in zip(line, widths, right, strict=True)
        )
        say("  ".join(padded).rstrip())


def _text(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else printable(str(value))
