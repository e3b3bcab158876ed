"""What is printed about a run: its plan beforehand, and a summary at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from fedmvp.wording import plural
from pipeline.cluster.execution import Run
from pipeline.cluster.graph import Graph
from pipeline.cluster.places import Place
from pipeline.cluster.plan import lower_bound, simulate

__all__ = ["describe_plan", "duration", "filled_in", "summary"]

_LONGEST = 5


def filled_in(seconds: Mapping[str, float | None], graph: Graph) -> dict[str, float]:
    """Return the seconds of every stage; where unknown, the mean of the known ones, or 1.

    Stages that are in DVC's cache count as taking no time.
    """
    known = [value for value in seconds.values() if value is not None]
    usual = sum(known) / len(known) if known else 1.0
    return {
        stage.name: 0.0
        if stage.state == "cached"
        else usual
        if (value := seconds[stage.name]) is None
        else value
        for stage in graph.stages
    }


def describe_plan(
    graph: Graph, estimated: Mapping[str, float | None], places: Sequence[Place]
) -> list[str]:
    """Return the lines of ``--dry-run``.

    Parameters
    ----------
    graph : Graph
        All stages, including those that are up to date.
    estimated : mapping
        Seconds by stage.
    """
    counts = Counter(stage.state for stage in graph.stages)
    to_do = graph.to_do
    lines = [
        f"{plural(len(graph.stages), 'stage')}: {counts['current']} up to date, "
        f"{counts['cached']} in DVC's cache, {counts['changed']} to run, "
        f"{counts['waits']} waiting for others"
    ]
    if not to_do.stages:
        return lines
    seconds = filled_in(estimated, to_do)
    intervals = simulate(to_do, seconds, len(places))
    for number, place in enumerate(places):
        own = [one for one in intervals if one.place == number]
        work = sum(one.end_s - one.start_s for one in own)
        lines.append(f"{place.name}: {plural(len(own), 'stage')}, {duration(work)}")
        lines += [f"  {duration(one.start_s)}  {one.stage}" for one in own]
    unknown = sum(estimated[s.name] is None and s.state != "cached" for s in to_do.stages)
    end = max(one.end_s for one in intervals)
    bound = lower_bound(to_do, seconds, len(places))
    lines.append(f"all: {duration(end)}; no order takes less than {duration(bound)}")
    if unknown:
        lines.append(
            f"nothing similar to {plural(unknown, 'stage')} ran here yet, so times are guesses: "
            "the mean of the others, or a second; `fedmvp bench` measures training"
        )
    return lines


def summary(run: Run, seconds: float) -> list[str]:
    """Return the lines at the end of a run.

    Parameters
    ----------
    seconds : float
        From the run's start to its end.
    """
    good = [one for one in run.ended if one.outcome.good]
    counts = Counter[str](one.outcome.kind for one in good)
    parts = [
        f"{counts[kind]} {words}"
        for kind, words in (
            ("ran", "ran"),
            ("restored", "restored from DVC's cache"),
            ("unchanged", "turned out to be up to date"),
        )
        if counts[kind]
    ]
    if run.failed:
        parts.append(f"{len(run.failed)} failed")
    if run.skipped:
        parts.append(f"{len(run.skipped)} left out because they need those")
    lines = [f"{plural(len(run.graph.stages), 'stage')} in {duration(seconds)}: {', '.join(parts)}"]
    ran = sorted((one for one in good if one.outcome.kind == "ran"), key=lambda one: -one.seconds)
    if ran:
        longest = (f"{one.stage} {duration(one.seconds)}" for one in ran[:_LONGEST])
        lines.append(f"longest: {', '.join(longest)}")
    busy: dict[str, float] = {}
    for one in run.ended:
        busy[one.place.name] = busy.get(one.place.name, 0.0) + one.seconds
    if busy:
        shares = (f"{name} {busy[name] / max(seconds, 1e-9):.0%}" for name in sorted(busy))
        lines.append(f"busy: {', '.join(shares)}")
    return lines


def duration(seconds: float) -> str:
    """Return a time in words.

    Examples
    --------
    >>> duration(3.21), duration(75), duration(5000)
    ('3.2 s', '1 min 15 s', '1 h 23 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
