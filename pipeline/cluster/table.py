"""What the user sees during a run: a live table, or lines where there is no terminal."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from fedmvp.wording import plural
from pipeline.cluster.execution import Ended, Run, Running, View, Workers
from pipeline.cluster.logs import read_log
from pipeline.cluster.report import duration

__all__ = ["open_view"]


@contextlib.contextmanager
def open_view(run: Run, workers: Workers) -> Iterator[View]:
    """Yield a view that shows a run on standard error."""
    console = Console(stderr=True)
    lines = Lines(console, run)
    if not console.is_terminal:
        yield lines
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield TableView(live, lines, workers)


class Lines:
    """A line for each start and each end."""

    def __init__(self, console: Console, run: Run) -> None:
        self._console, self._total = console, len(run.graph.stages)
        self._done = 0

    def started(self, running: Running) -> None:
        """Print which stage starts where."""
        again = f", attempt {running.attempt}" if running.attempt > 1 else ""
        self.say(f"{running.stage} on {running.place.name}{again}")

    def ended(self, ended: Ended) -> None:
        """Print how a stage ended."""
        outcome, took = ended.outcome, duration(ended.seconds)
        if outcome.good:
            self._done += 1
            word = {"ran": "done", "restored": "restored", "unchanged": "up to date"}[outcome.kind]
            self.say(f"{ended.stage} {word} in {took} ({self._done} of {self._total})")
            return
        word = "was killed and is started again" if ended.retried else "failed"
        self.say(f"{ended.stage} {word} after {took}: {outcome.message}; see {ended.log}")

    def refresh(self, run: Run) -> None:
        """Do nothing: lines are printed only when something happens."""

    def say(self, line: str) -> None:
        """Print a line with the time of day."""
        text = f"{time.strftime('%H:%M:%S')} {line}"
        self._console.print(Text(text), soft_wrap=True)


class TableView:
    """Lines for what has ended, above a table of what runs."""

    def __init__(self, live: Live, lines: Lines, workers: Workers) -> None:
        self._live, self._lines, self._workers = live, lines, workers

    def started(self, running: Running) -> None:
        """Do nothing: the table shows running stages."""

    def ended(self, ended: Ended) -> None:
        """Print how a stage ended, above the table."""
        self._lines.ended(ended)

    def refresh(self, run: Run) -> None:
        """Redraw the table."""
        self._live.update(Group(self._table(run), Text(self._all(run))), refresh=True)

    def _table(self, run: Run) -> Table:
        table = Table(box=None, pad_edge=False)
        for name in (run.what, "place", "round", "loss", "time"):
            table.add_column(name, no_wrap=True)
        now = time.monotonic()
        for one in run.running.values():
            log = read_log(one.log)
            took = duration(now - one.began_s)
            table.add_row(one.stage, one.place.name, log.round, log.loss, took)
        return table

    def _all(self, run: Run) -> str:
        """Return the total: what has ended, and the time left by earlier times of the stages."""
        done = sum(one.outcome.good for one in run.ended)
        began = {one.stage: time.monotonic() - one.began_s for one in run.running.values()}
        work = run.schedule.open_s - sum(began.values())
        left = max(run.schedule.chain_s, work / max(1, len(self._workers.places)))
        failed = f", {len(run.failed)} failed" if run.failed else ""
        count = plural(len(run.graph.stages), run.what)
        return f"{done} of {count}{failed}; about {duration(left)} left"
