"""The loop that assigns stages to places, collects their outcomes and restarts killed ones."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

from fedmvp.interruption import Stopped
from pipeline.cluster.estimates import RUN_FOLDER, Estimates
from pipeline.cluster.graph import Graph, Stage
from pipeline.cluster.logs import read_log
from pipeline.cluster.outcome import Outcome
from pipeline.cluster.places import Place
from pipeline.cluster.plan import Schedule

__all__ = ["ATTEMPTS", "Ended", "Run", "Running", "View", "Workers", "execute"]

ATTEMPTS = 3
_LOOK_S = 0.5
# A stage that is stopped first ends the step it is in; a checkpoint is written every round.
_STOP_S = 60.0


class Workers(Protocol):
    """What runs stages on places: processes on this machine or on a cluster."""

    @property
    def places(self) -> list[Place]:
        """The available places; those of a cluster come and go."""

    def may_get_places(self) -> bool:
        """Return whether more places may come."""

    def start(self, place: Place, stage: str, log: Path) -> None:
        """Start a stage on a free place."""

    def wait(self, seconds: float) -> list[tuple[Place, Outcome]]:
        """Return the attempts that have ended, waiting at most `seconds` for the first."""

    def stop(self, number: int) -> None:
        """Send a signal to the running stages."""

    def close(self) -> None:
        """End the workers."""


class View(Protocol):
    """What shows a run's progress."""

    def started(self, running: Running) -> None:
        """Show a stage's start."""

    def ended(self, ended: Ended) -> None:
        """Show a stage's end."""

    def refresh(self, run: Run) -> None:
        """Show the present state."""


@dataclass(frozen=True)
class Running:
    """An attempt at a stage that is under way."""

    stage: str
    place: Place
    log: Path
    began_s: float
    attempt: int


@dataclass(frozen=True)
class Ended:
    """An attempt that has ended, and how long it took."""

    stage: str
    place: Place
    log: Path
    seconds: float
    outcome: Outcome
    retried: bool


@dataclass
class Run:
    """The state of a run.

    Parameters
    ----------
    graph : Graph
        The stages that are not up to date when it begins.
    what : str, optional
        What the graph's items are called in messages, by default stages.
    """

    graph: Graph
    schedule: Schedule
    estimates: Estimates
    memory_gib: float
    what: str = "stage"
    began_s: float = field(default_factory=time.monotonic)
    running: dict[str, Running] = field(default_factory=dict)  # by place
    ended: list[Ended] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    @property
    def failed(self) -> list[Ended]:
        """The stages that failed, each with its last attempt."""
        return [one for one in self.ended if not one.outcome.good and not one.retried]

    @cached_property
    def stages(self) -> dict[str, Stage]:
        """The stages by name."""
        return {stage.name: stage for stage in self.graph.stages}

    def expected_gib(self, stage: str) -> float:
        """Return the memory a stage is expected to take, in GiB; 0 where nothing similar ran."""
        return self.estimates.memory_gib(self.stages[stage]) or 0.0


def execute(run: Run, workers: Workers, view: View, root: Path) -> None:
    """Run all stages of a graph.

    When a stage fails, those that need its outputs are left out, and the rest goes on. A stage that
    is killed, or whose worker or machine is lost, is tried again, on another place if one is free,
    at most `ATTEMPTS` times in all.

    Parameters
    ----------
    run : Run
        The run's state, which is updated.
    root : Path
        The checkout; logs are written to ``.fedmvp/run/logs`` in it.

    Raises
    ------
    Stopped
        When a signal came, after the running stages have stopped.
    """
    try:
        while (
            _hand_out(run, workers, view, root)
            or run.running
            or (run.schedule.ready and workers.may_get_places())
        ):
            for place, outcome in workers.wait(_LOOK_S):
                _take_back(run, place, outcome, view)
            view.refresh(run)
    except Stopped as stopped:
        _stop(run, workers, view, stopped.number)
        raise


def _hand_out(run: Run, workers: Workers, view: View, root: Path) -> bool:
    """Start all stages that can be started; return whether there were any."""
    any_started = False
    for place in workers.places:
        if not run.schedule.ready or place.name in run.running:
            continue
        stage = _next(run, place, len(workers.places))
        if stage is None:
            continue
        log = root / RUN_FOLDER / "logs" / f"{stage.replace('/', '_')}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        attempt = 1 + sum(one.stage == stage for one in run.ended)
        if attempt == 1:
            log.write_bytes(b"")
        running = Running(stage, place, log, time.monotonic(), attempt)
        run.schedule.take(stage)
        run.running[place.name] = running
        workers.start(place, stage, log)
        view.started(running)
        any_started = True
    return any_started


def _next(run: Run, place: Place, places: int) -> str | None:
    """Return the most urgent stage that may start on a place; None where none may."""
    taken = sum(
        read_log(one.log).memory_gib or run.expected_gib(one.stage) for one in run.running.values()
    )
    for name in run.schedule.ready:
        if not place.takes(results=run.stages[name].makes_results):
            continue
        # A stage that needs more memory than there is runs alone.
        if run.running and taken + run.expected_gib(name) > run.memory_gib:
            continue
        last = next((one for one in reversed(run.ended) if one.stage == name), None)
        # A stage that was killed is tried on another place, unless no other is free.
        if last and last.place == place and 1 + len(run.running) < places:
            continue
        return name
    return None


def _take_back(run: Run, place: Place, outcome: Outcome, view: View) -> None:
    """Record how a stage ended."""
    one = run.running.pop(place.name)
    seconds = time.monotonic() - one.began_s
    retry = outcome.kind == "died" and one.attempt < ATTEMPTS
    said = read_log(one.log)
    if not outcome.good and said.error:
        outcome = outcome.model_copy(update={"message": said.error})
    ended = Ended(one.stage, place, one.log, seconds, outcome, retry)
    run.ended.append(ended)
    if outcome.kind == "ran":
        run.estimates.record(run.stages[one.stage].command, seconds, said.memory_gib)
    if outcome.good:
        run.schedule.end(one.stage)
    elif retry:
        run.schedule.give_back(one.stage)
    else:
        run.skipped += run.schedule.fail(one.stage)
    view.ended(ended)


def _stop(run: Run, workers: Workers, view: View, number: int) -> None:
    """Stop all stages and wait until they have ended; some may finish normally."""
    workers.stop(number)
    until = time.monotonic() + _STOP_S
    while run.running and time.monotonic() < until:
        for place, outcome in workers.wait(_LOOK_S):
            if outcome.good:
                _take_back(run, place, outcome, view)
            else:
                del run.running[place.name]
