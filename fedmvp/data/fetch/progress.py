"""What the user sees while data is fetched: a bar with speed and time left, and one-line notes.

All of it goes to stderr; where that is not a terminal, bars are silent.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fedmvp.errors import printable

__all__ = ["Advance", "tell", "transfer_bar"]

Advance = Callable[[int, int | None], None]
"""Called with the number of bytes so far, and with the final number if it is known."""


def tell(message: str) -> None:
    """Print one line for the user."""
    print(printable(message), file=sys.stderr, flush=True)


@contextmanager
def transfer_bar(title: str) -> Iterator[Advance]:
    """Draw a bar with speed and time left while a file is fetched."""
    if not sys.stderr.isatty():
        yield lambda have, total: None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(escape(printable(title)), total=None)
        yield lambda have, total: progress.update(task, completed=have, total=total)
