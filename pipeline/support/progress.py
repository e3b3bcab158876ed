"""The progress bar of training: fold, round, clients, loss, time left."""

from __future__ import annotations

import sys
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column

from fedmvp.config import FederationParams
from fedmvp.federation.rounds import RoundReport
from fedmvp.partition.model import Partition

__all__ = ["TrainingDisplay"]

_BAR_CELLS = 10


class TrainingDisplay:
    """A rich progress bar on stderr; a line per round where there is no terminal."""

    def __init__(self, title: str, partition: Partition, federation: FederationParams) -> None:
        self.title = title
        self.rounds = federation.rounds
        self.folds = list(partition.folds)
        console = Console(stderr=True)
        self.live = console.is_terminal
        # In a narrow window, the names of run and fold are cut, and the numbers stay.
        self.progress = Progress(
            TextColumn("{task.description}", table_column=Column(no_wrap=True, ratio=1)),
            BarColumn(bar_width=_BAR_CELLS),
            TextColumn("{task.fields[state]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not self.live,
            expand=True,
        )
        self.task = self.progress.add_task(
            title, total=len(self.folds) * self.rounds, state="starting"
        )

    def __enter__(self) -> TrainingDisplay:
        self.progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.progress.stop()

    def update(self, fold: str, report: RoundReport) -> None:
        """Show a client's end."""
        numbers = [
            f"round {report.round_index + 1}/{self.rounds}",
            f"client {report.client}/{report.clients}",
        ]
        if report.loss is not None:
            numbers.append(f"loss {report.loss:.3f}")
        state, name = " · ".join(numbers), f"{self.title} · {fold}"
        done = self.folds.index(fold) * self.rounds + report.round_index
        self.progress.update(
            self.task,
            completed=done + report.client / report.clients,
            state=state,
            description=name,
        )
        if not self.live and report.client == report.clients:
            print(f"{name} · {state}", file=sys.stderr, flush=True)
