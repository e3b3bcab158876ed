"""The live table of ``serve``: sites, rounds, losses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.table import Table

from fedmvp.errors import printable
from fedmvp.federation.flare.progress import Progress

__all__ = ["Display", "live_display", "table_of"]


class Display:
    """Shows progress: a live table on a terminal, lines elsewhere."""

    def __init__(self, console: Console, live: Live | None, rounds: int) -> None:
        self.console = console
        self.live = live
        self.rounds = rounds
        self._last = ""

    def __call__(self, progress: Progress, connected: list[str]) -> None:
        """Show the present state."""
        if self.live is not None:
            self.live.update(table_of(progress, self.rounds), refresh=True)
            return
        line = _line(progress, connected, self.rounds)
        if line != self._last:
            self.console.print(line, markup=False, highlight=False)
            self._last = line


@contextmanager
def live_display(rounds: int) -> Iterator[Display]:
    """Yield the display of a run with this number of rounds."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Display(console, None, rounds)
        return
    with Live(console=console, auto_refresh=False) as live:
        yield Display(console, live, rounds)


def table_of(progress: Progress, rounds: int) -> Table:
    """Return a table with a row per site."""
    done = "waiting for sites" if progress.round is None else f"round {progress.round + 1}"
    table = Table(title=f"{done} of {rounds}" if progress.round is not None else done)
    for name in ("site", "state", "round", "loss", "images", "missed", "why"):
        table.add_column(name)
    for name, site in progress.sites.items():
        table.add_row(
            printable(name),
            site.state,
            "" if site.round is None else str(site.round + 1),
            "" if site.loss is None else f"{site.loss:.3f}",
            "" if site.images is None else str(site.images),
            str(site.missed or ""),
            printable(site.note[:80]),
        )
    return table


def _line(progress: Progress, connected: list[str], rounds: int) -> str:
    if progress.round is None:
        there = ", ".join(connected) or "none"
        return f"waiting for sites; connected: {there}"
    parts = ", ".join(
        f"{name} {site.state}" + ("" if site.loss is None else f" {site.loss:.3f}")
        for name, site in progress.sites.items()
    )
    return f"round {progress.round + 1} of {rounds}: {parts}"
