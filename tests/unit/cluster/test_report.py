"""What is said of a plan, and of a run that has ended."""

from __future__ import annotations

from pathlib import Path

from pipeline.cluster.estimates import Estimates
from pipeline.cluster.execution import Ended, Run
from pipeline.cluster.graph import Graph, Stage, State
from pipeline.cluster.outcome import Outcome
from pipeline.cluster.places import Place
from pipeline.cluster.plan import Schedule
from pipeline.cluster.report import describe_plan, duration, filled_in, summary

PLACES = [Place("cpu 1"), Place("cpu 2")]


def stage(name: str, state: State, *needs: str) -> Stage:
    return Stage(name, f"run {name}", needs, (), state)


GRAPH = Graph(
    (
        stage("done", "current"),
        stage("kept", "cached", "done"),
        stage("train", "changed", "done"),
        stage("other", "changed", "done"),
        stage("report", "waits", "train", "other", "kept"),
    )
)


def test_a_plan_says_what_runs_where_and_how_long() -> None:
    seconds = {"done": 1.0, "kept": 50.0, "train": 7200.0, "other": 3600.0, "report": 30.0}
    assert describe_plan(GRAPH, seconds, PLACES) == [
        "5 stages: 1 up to date, 1 in DVC's cache, 2 to run, 1 waiting for others",
        "cpu 1: 2 stages, 2 h 0 min",
        "  0.0 s  train",
        "  2 h 0 min  report",
        "cpu 2: 2 stages, 1 h 0 min",
        "  0.0 s  other",
        "  1 h 0 min  kept",
        "all: 2 h 0 min; no order takes less than 2 h 0 min",
    ]


def test_unknown_times_are_said_to_be_guesses() -> None:
    seconds = {"done": None, "kept": None, "train": 10.0, "other": 30.0, "report": None}
    assert filled_in(seconds, GRAPH.to_do) == {
        "kept": 0.0,
        "train": 10.0,
        "other": 30.0,
        "report": 20.0,
    }
    assert "nothing similar to 1 stage ran here yet" in describe_plan(GRAPH, seconds, PLACES)[-1]


def test_nothing_to_do_is_one_line() -> None:
    graph = Graph((stage("done", "current"),))
    assert len(describe_plan(graph, {"done": None}, PLACES)) == 1


def test_a_summary_says_how_it_went(tmp_path: Path) -> None:
    graph = GRAPH.to_do
    run = Run(
        graph,
        Schedule(graph, dict.fromkeys(("kept", "train", "other", "report"), 1.0)),
        Estimates.load(tmp_path),
        8.0,
    )

    def ended(name: str, place: Place, seconds: float, outcome: Outcome, again: bool) -> Ended:
        return Ended(name, place, tmp_path / name, seconds, outcome, again)

    run.ended = [
        ended("kept", PLACES[0], 1, Outcome(kind="restored"), False),
        ended("train", PLACES[0], 4, Outcome(kind="died", message="gone"), True),
        ended("train", PLACES[1], 5, Outcome(kind="ran"), False),
        ended("other", PLACES[0], 5, Outcome(kind="failed", message="no"), False),
    ]
    run.skipped = ["report"]
    assert [one.stage for one in run.failed] == ["other"]
    assert summary(run, 20.0) == [
        "4 stages in 20.0 s: 1 ran, 1 restored from DVC's cache, 1 failed, "
        "1 left out because they need those",
        "longest: train 5.0 s",
        "busy: cpu 1 50%, cpu 2 25%",
    ]


def test_durations() -> None:
    assert [duration(s) for s in (0, 59.96, 60, 3599.6, 3661)] == [
        "0.0 s",
        "60.0 s",
        "1 min 0 s",
        "1 h 0 min",
        "1 h 1 min",
    ]
