"""Which stage comes next, and what a run would look like: the rule and its simulation.

This is a list schedule: whenever a place is free, it starts the ready stage that begins the longest
chain of stages. Any list schedule takes less than twice the shortest possible time (Graham, SIAM J.
Appl. Math. 17, 1969); `python -m benchmarks.schedule` measures how far this one is from the lower
bound for the paper's profile.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pipeline.cluster.graph import Graph

__all__ = ["Interval", "Schedule", "lower_bound", "simulate"]


class Schedule:
    """Which stages wait, are ready, or have ended.

    Parameters
    ----------
    graph : Graph
        The stages that have to run.
    seconds : mapping of str to float
        How long each is expected to take.
    """

    def __init__(self, graph: Graph, seconds: Mapping[str, float]) -> None:
        self._seconds = dict(seconds)
        self._waits_for = {stage.name: set(stage.needs) for stage in graph.stages}
        self._followers: dict[str, list[str]] = {stage.name: [] for stage in graph.stages}
        for stage in graph.stages:
            for need in stage.needs:
                self._followers[need].append(stage.name)
        self.remaining_s: dict[str, float] = {}
        """Seconds from a stage's start to the end of the longest chain it begins."""
        for stage in reversed(graph.stages):
            after = (self.remaining_s[name] for name in self._followers[stage.name])
            self.remaining_s[stage.name] = seconds[stage.name] + max(after, default=0.0)
        # Longest chain first; equal ones in the order of `dvc repro`.
        self._rank = {
            name: (-self.remaining_s[name], number) for number, name in enumerate(self._waits_for)
        }
        self._ready = sorted(
            (name for name, needs in self._waits_for.items() if not needs),
            key=self._rank.__getitem__,
        )
        self._open = set(self._waits_for)

    @property
    def ready(self) -> tuple[str, ...]:
        """Stages that could start now, the most urgent first."""
        return tuple(self._ready)

    @property
    def open_s(self) -> float:
        """Total seconds of stages that have not ended; running ones count in full."""
        return sum(self._seconds[name] for name in self._open)

    @property
    def chain_s(self) -> float:
        """Seconds of the longest chain of stages that have not ended."""
        return max((self.remaining_s[name] for name in self._open), default=0.0)

    def take(self, name: str) -> None:
        """Note that a ready stage has been started."""
        self._ready.remove(name)

    def give_back(self, name: str) -> None:
        """Note that a started stage has to be started again."""
        self._add_ready([name])

    def end(self, name: str) -> None:
        """Note that a stage is up to date; stages that waited only for it become ready."""
        self._open.discard(name)
        freed = []
        for follower in self._followers[name]:
            self._waits_for[follower].discard(name)
            if not self._waits_for[follower] and follower in self._open:
                freed.append(follower)
        self._add_ready(freed)

    def fail(self, name: str) -> list[str]:
        """Note that a stage failed; return the stages that cannot run without it, in order."""
        lost, path = set(), [name]
        while path:
            for follower in self._followers[path.pop()]:
                if follower not in lost:
                    lost.add(follower)
                    path.append(follower)
        self._open -= lost | {name}
        return [other for other in self._waits_for if other in lost]

    def _add_ready(self, names: Iterable[str]) -> None:
        self._ready = sorted([*self._ready, *names], key=self._rank.__getitem__)


@dataclass(frozen=True)
class Interval:
    """A stage on a place, in seconds from the start of the run."""

    stage: str
    place: int
    start_s: float
    end_s: float


def simulate(
    graph: Graph, seconds: Mapping[str, float], places: int, *, overhead_s: float = 0.0
) -> list[Interval]:
    """Return what a run would do on `places` equal places, in the order in which stages start.

    Parameters
    ----------
    overhead_s : float, default=0.0
        Seconds a place needs between two stages.
    """
    schedule = Schedule(graph, seconds)
    free = list(range(places))
    running: list[tuple[float, int, str]] = []
    intervals, now = [], 0.0
    while True:
        for name in schedule.ready[: len(free)]:
            place = heapq.heappop(free)
            schedule.take(name)
            end = now + overhead_s + seconds[name]
            intervals.append(Interval(name, place, now, end))
            heapq.heappush(running, (end, place, name))
        if not running:
            return intervals
        now, place, name = heapq.heappop(running)
        heapq.heappush(free, place)
        schedule.end(name)


def lower_bound(graph: Graph, seconds: Mapping[str, float], places: int) -> float:
    """Return the seconds no schedule can beat: the longest chain, or the work over the places."""
    work = sum(seconds[stage.name] for stage in graph.stages)
    chains = Schedule(graph, seconds).remaining_s.values()
    return max(max(chains, default=0.0), work / places)
