"""``fedmvp watch``: curves of what is being trained, in the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["watch"]


def watch(
    scratch: Annotated[
        Path | None,
        typer.Option(file_okay=False, help="Folder of checkpoints; else FEDMVP_SCRATCH's."),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Show what there is, and end.")] = False,
    every: Annotated[
        float, typer.Option(min=0.1, max=3600, help="Seconds between two updates.")
    ] = 1.0,
) -> None:
    """Show the rounds of trainings under way, and which clients pull the mean down.

    It reads their checkpoints, so it neither changes nor slows them, and may be started and ended
    at any time. Without a terminal it shows what there is and ends.
    """
    import time

    from rich.console import Console
    from rich.live import Live

    from fedmvp.cli.watch_view import view
    from fedmvp.errors import DataError
    from fedmvp.interruption import raise_if_stopped
    from fedmvp.paths import scratch_root
    from fedmvp.results.running import running

    root = scratch or scratch_root()
    if scratch is not None and not scratch.is_dir():
        raise DataError("no such folder", where=scratch, hint="correct the path, or leave it out")
    console = Console()
    if once or not console.is_terminal:
        console.print(view(running(root)))
        return
    with Live(view(running(root)), console=console, screen=False, auto_refresh=False) as live:
        while True:
            time.sleep(every)
            raise_if_stopped()
            live.update(view(running(root)), refresh=True)
