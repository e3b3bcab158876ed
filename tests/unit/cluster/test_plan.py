"""The order of stages, and how far a simulated run is from what no order can beat."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cluster.graph import Graph, Stage, State
from pipeline.cluster.plan import Schedule, lower_bound, simulate


def graph(needs: Mapping[str, tuple[str, ...]], state: State = "changed") -> Graph:
    return Graph(tuple(Stage(n, f"run {n}", own, (f"{n}.out",), state) for n, own in needs.items()))


CHAIN = graph({"a": (), "short": (), "b": ("a",), "c": ("b",)})
SECONDS = {"a": 1.0, "short": 2.0, "b": 1.0, "c": 1.0}


def test_the_longest_chain_goes_first() -> None:
    schedule = Schedule(CHAIN, SECONDS)
    assert schedule.ready == ("a", "short")
    assert schedule.remaining_s == {"a": 3, "short": 2, "b": 2, "c": 1}
    schedule.take("a")
    assert schedule.ready == ("short",)
    schedule.end("a")
    # Of two equal ones, the first of `dvc repro`.
    assert schedule.ready == ("short", "b")


def test_what_is_given_back_is_ready_again() -> None:
    schedule = Schedule(CHAIN, SECONDS)
    schedule.take("a")
    schedule.give_back("a")
    assert schedule.ready == ("a", "short")


def test_a_failure_takes_what_needs_it_along() -> None:
    schedule = Schedule(CHAIN, SECONDS)
    schedule.take("a")
    assert schedule.fail("a") == ["b", "c"]
    assert schedule.ready == ("short",)
    assert schedule.open_s == 2
    schedule.take("short")
    schedule.end("short")
    assert (schedule.ready, schedule.open_s, schedule.chain_s) == ((), 0, 0)


def test_one_that_needs_a_failed_stage_stays_out_when_the_rest_is_there() -> None:
    both = graph({"a": (), "b": (), "c": ("a", "b")})
    schedule = Schedule(both, dict.fromkeys("abc", 1.0))
    schedule.take("a")
    schedule.take("b")
    assert schedule.fail("a") == ["c"]
    schedule.end("b")
    assert schedule.ready == ()


def test_two_places_halve_what_can_be_halved() -> None:
    intervals = simulate(CHAIN, SECONDS, 2)
    assert [(i.stage, i.place, i.start_s, i.end_s) for i in intervals] == [
        ("a", 0, 0, 1),
        ("short", 1, 0, 2),
        ("b", 0, 1, 2),
        ("c", 0, 2, 3),
    ]
    assert lower_bound(CHAIN, SECONDS, 2) == 3
    assert lower_bound(CHAIN, SECONDS, 1) == 5


def test_overhead_is_paid_between_stages() -> None:
    assert max(i.end_s for i in simulate(CHAIN, SECONDS, 1, overhead_s=0.5)) == pytest.approx(7)


@st.composite
def graphs(draw: st.DrawFn) -> tuple[Graph, dict[str, float]]:
    count = draw(st.integers(1, 12))
    names = [f"s{number}" for number in range(count)]
    needs = {
        name: tuple(draw(st.lists(st.sampled_from(names[:n]), unique=True, max_size=3)))
        if n
        else ()
        for n, name in enumerate(names)
    }
    return graph(needs), {name: float(draw(st.integers(0, 20))) for name in names}


@given(graphs(), st.integers(1, 5))
def test_every_stage_runs_once_after_what_it_needs(
    drawn: tuple[Graph, dict[str, float]], places: int
) -> None:
    stages, seconds = drawn
    intervals = {one.stage: one for one in simulate(stages, seconds, places)}
    assert set(intervals) == {stage.name for stage in stages.stages}
    for stage in stages.stages:
        for need in stage.needs:
            assert intervals[need].end_s <= intervals[stage.name].start_s
    for place in range(places):
        own = sorted((i.start_s, i.end_s) for i in intervals.values() if i.place == place)
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(own))
    end = max(i.end_s for i in intervals.values())
    bound = lower_bound(stages, seconds, places)
    assert bound <= end <= 2 * bound  # Graham's bound
