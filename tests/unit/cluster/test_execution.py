"""The loop: what starts where, what is tried again, what a stop leaves."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from fedmvp.interruption import Stopped
from pipeline.cluster.estimates import Estimates
from pipeline.cluster.execution import ATTEMPTS, Ended, Run, Running, execute
from pipeline.cluster.graph import Graph, Stage
from pipeline.cluster.outcome import Outcome
from pipeline.cluster.places import Place
from pipeline.cluster.plan import Schedule

RAN, FAILED, DIED = (Outcome(kind=kind) for kind in ("ran", "failed", "died"))
A, B = Place("a"), Place("b")
DIAMOND = {"code": (), "left": ("code",), "right": ("code",), "report": ("left", "right")}


class Silent:
    """Shows nothing."""

    def started(self, running: Running) -> None: ...
    def ended(self, ended: Ended) -> None: ...
    def refresh(self, run: Run) -> None: ...


class Scripted:
    """Workers whose stages end as they are told, the one that started first first."""

    def __init__(
        self, places: list[Place], outcome: Callable[[str, int], Outcome] = lambda *_: RAN
    ) -> None:
        self.places = places
        self.outcome = outcome
        self.running: list[tuple[Place, str]] = []
        self.started: list[tuple[str, str]] = []
        self.most = 0
        self.signals: list[int] = []

    def may_get_places(self) -> bool:
        return False

    def start(self, place: Place, stage: str, log: Path) -> None:
        log.write_text(f"{stage}: about 2.0 GiB of memory\n", encoding="utf-8")
        self.running.append((place, stage))
        self.started.append((stage, place.name))
        self.most = max(self.most, len(self.running))

    def wait(self, seconds: float) -> list[tuple[Place, Outcome]]:
        place, stage = self.running.pop(0)
        attempt = sum(name == stage for name, _ in self.started)
        return [(place, self.outcome(stage, attempt))]

    def stop(self, number: int) -> None:
        self.signals.append(number)

    def close(self) -> None: ...


def new_run(root: Path, needs: Mapping[str, tuple[str, ...]], memory_gib: float = 100.0) -> Run:
    stages = tuple(
        Stage(
            name,
            f"python -m {name}",
            own,
            (f"results/{name}" if name == "left" else name,),
            "changed",
        )
        for name, own in needs.items()
    )
    graph = Graph(stages)
    schedule = Schedule(graph, dict.fromkeys(needs, 1.0))
    return Run(graph, schedule, Estimates.load(root), memory_gib)


def test_what_can_run_at_once_does(tmp_path: Path) -> None:
    run, workers = new_run(tmp_path, DIAMOND), Scripted([A, B])
    execute(run, workers, Silent(), tmp_path)
    assert workers.started == [("code", "a"), ("left", "a"), ("right", "b"), ("report", "a")]
    assert [one.stage for one in run.ended] == ["code", "left", "right", "report"]
    assert run.failed == run.skipped == []
    # What they said is kept for the next time.
    assert Estimates.load(tmp_path).memory_gib(run.stages["left"]) == 2.0


def test_memory_is_shared_out(tmp_path: Path) -> None:
    known = Estimates.load(tmp_path)
    for name in DIAMOND:
        known.record(f"python -m {name}", 1.0, 2.0)
    for memory_gib, most in ((4.0, 2), (3.9, 1), (0.5, 1)):  # a stage too large for it runs alone
        run, workers = new_run(tmp_path, DIAMOND, memory_gib), Scripted([A, B])
        execute(run, workers, Silent(), tmp_path)
        assert (len(run.ended), workers.most) == (4, most)


def test_what_died_is_tried_elsewhere(tmp_path: Path) -> None:
    workers = Scripted([A, B], lambda stage, n: DIED if (stage, n) == ("code", 1) else RAN)
    run = new_run(tmp_path, {"code": ()})
    execute(run, workers, Silent(), tmp_path)
    assert workers.started == [("code", "a"), ("code", "b")]
    assert [one.retried for one in run.ended] == [True, False]
    assert run.failed == []


def test_on_one_place_it_is_tried_there(tmp_path: Path) -> None:
    workers = Scripted([A], lambda stage, n: DIED)
    run = new_run(tmp_path, DIAMOND)
    execute(run, workers, Silent(), tmp_path)
    assert workers.started == [("code", "a")] * ATTEMPTS
    assert [one.stage for one in run.failed] == ["code"]
    assert run.skipped == ["left", "right", "report"]


def test_a_failure_is_not_repeated_and_the_rest_goes_on(tmp_path: Path) -> None:
    workers = Scripted([A, B], lambda stage, n: FAILED if stage == "left" else RAN)
    run = new_run(tmp_path, DIAMOND)
    execute(run, workers, Silent(), tmp_path)
    assert [name for name, _ in workers.started] == ["code", "left", "right"]
    assert run.skipped == ["report"]


def test_places_take_what_they_are_for(tmp_path: Path) -> None:
    here, there = Place("here", only_results=False), Place("there", only_results=True)
    run, workers = new_run(tmp_path, DIAMOND), Scripted([here, there])
    execute(run, workers, Silent(), tmp_path)
    assert dict(workers.started) == {
        "code": "here",
        "left": "there",
        "right": "here",
        "report": "here",
    }


def test_a_signal_is_passed_on_and_what_ends_well_counts(tmp_path: Path) -> None:
    class Interrupted(Scripted):
        def wait(self, seconds: float) -> list[tuple[Place, Outcome]]:
            if not self.signals and len(self.started) == 3:
                raise Stopped(signal.SIGINT)
            return super().wait(seconds)

    workers = Interrupted([A, B], lambda stage, n: FAILED if stage == "right" else RAN)
    run = new_run(tmp_path, DIAMOND)
    with pytest.raises(Stopped):
        execute(run, workers, Silent(), tmp_path)
    assert workers.signals == [signal.SIGINT]
    assert [one.stage for one in run.ended] == ["code", "left"]
    assert run.running == {}
    assert run.failed == []


def test_a_run_waits_for_places_that_may_come(tmp_path: Path) -> None:
    class Late(Scripted):
        def may_get_places(self) -> bool:
            return len(self.places) < 1

        def wait(self, seconds: float) -> list[tuple[Place, Outcome]]:
            if not self.places:
                self.places = [A]
                return []
            return super().wait(seconds)

    run, workers = new_run(tmp_path, DIAMOND), Late([])
    execute(run, workers, Silent(), tmp_path)
    assert len(run.ended) == 4
