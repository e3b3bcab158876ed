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
# A stage that is stopped ends the step it is in; a checkpoint is written once a round.
_STOP_S = 60.0


class Workers(Protocol):
    """What runs stages on places: processes of this machine, or of a cluster."""

    @property
    def places(self) -> list[Place]:
        """The places there are; those of a cluster come and go."""

    def hoping(self) -> bool:
        """Return whether more places may come."""

    def start(self, place: Place, stage: str, log: Path) -> None:
        """Start a stage on a free place."""

    def wait(self, seconds: float) -> list[tuple[Place, Outcome]]:
        """Return what has ended, waiting at most so long for the first of it."""

    def stop(self, number: int) -> None:
        """Send a signal to the stages that run."""

    def close(self) -> None:
        """End the workers."""


class View(Protocol):
    """What shows a run while it goes on."""

    def started(self, running: Running) -> None:
        """Take note of a stage's start."""

    def ended(self, ended: Ended) -> None:
        """Take note of a stage's end."""

    def refresh(self, run: Run) -> None:
        """Show how things are."""


@dataclass(frozen=True)
class Running:
    """An attempt at a stage that goes on."""

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
    """A run so far.

    Parameters
    ----------
    graph : Graph
        The stages that are not up to date when it begins.
    what : str, optional
        What they are called where people read of them.
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
        """Return the memory a stage is expected to take; 0 where nothing like it ran here."""
        return self.estimates.memory_gib(self.stages[stage]) or 0.0


def execute(run: Run, workers: Workers, view: View, root: Path) -> None:
    """Run all stages of a graph, as far as they succeed.

    A stage that fails takes with it what needs its outputs; the rest goes on. One that is killed,
    or whose worker or machine is, is tried again, on another place if one is free, `ATTEMPTS` times
    in all.

    Parameters
    ----------
    run : Run
        Receives every event.
    root : Path
        The checkout; logs are written below ``.fedmvp/run/logs``.

    Raises
    ------
    Stopped
        When a signal came, after the stages that ran have stopped.
    """
    try:
        while (
            _hand_out(run, workers, view, root)
            or run.running
            or (run.schedule.ready and workers.hoping())
        ):
            for place, outcome in workers.wait(_LOOK_S):
                _take_back(run, place, outcome, view)
            view.refresh(run)
    except Stopped as stopped:
        _stop(run, workers, view, stopped.number)
        raise


def _hand_out(run: Run, workers: Workers, view: View, root: Path) -> bool:
    """Start what can be started; return whether anything was."""
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
        # A stage that takes more than there is gets it alone.
        if run.running and taken + run.expected_gib(name) > run.memory_gib:
            continue
        last = next((one for one in reversed(run.ended) if one.stage == name), None)
        # What was killed is tried elsewhere, unless nothing else is free.
        if last and last.place == place and 1 + len(run.running) < places:
            continue
        return name
    return None


def _take_back(run: Run, place: Place, outcome: Outcome, view: View) -> None:
    """Note how a stage ended."""
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
    """Stop all stages and wait until they have ended; one may have finished."""
    workers.stop(number)
    until = time.monotonic() + _STOP_S
    while run.running and time.monotonic() < until:
        for place, outcome in workers.wait(_LOOK_S):
            if outcome.good:
                _take_back(run, place, outcome, view)
            else:
                del run.running[place.name]
