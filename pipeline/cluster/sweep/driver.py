"""``fedmvp run --sweep FILE``: several trials at a time, and a table of their scores."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from fedmvp.errors import FedMVPError
from fedmvp.wording import plural
from fedmvp.yaml_files import load_yaml
from pipeline.cluster.estimates import Estimates
from pipeline.cluster.execution import Run, execute
from pipeline.cluster.graph import Graph, Stage
from pipeline.cluster.local import LocalWorkers
from pipeline.cluster.places import Place
from pipeline.cluster.plan import Schedule
from pipeline.cluster.report import filled_in
from pipeline.cluster.sweep.search import open_search
from pipeline.cluster.sweep.spec import PARAMS, Overrides, Sweep, changed_params, load_sweep
from pipeline.cluster.sweep.trial import experiments, score, trial_name, workspace_digest
from pipeline.cluster.table import open_view

__all__ = ["SweepFailed", "run_sweep"]


class SweepFailed(FedMVPError):
    """Trials failed."""


@dataclass(frozen=True)
class Tried:
    """A trial that has ended; `score` is None if it failed."""

    name: str
    values: Overrides
    score: float | None
    error: str = ""
    log: Path = Path()


def run_sweep(
    file: Path, places: Sequence[Place], root: Path, memory_gib: float, *, dry_run: bool
) -> None:
    """Run the trials for which there is no experiment yet, and print all with their scores.

    Parameters
    ----------
    file : Path
        See `spec.Sweep`.
    places : sequence of Place
        Places, each of which runs one trial at a time.
    memory_gib : float
        Memory that trials may take together.
    dry_run : bool
        Print the first trials instead of running them.

    Raises
    ------
    ConfigError
        For a file that cannot be run, before anything starts.
    SweepFailed
        When trials failed, after the others have run.
    """
    sweep = load_sweep(file, root / PARAMS)
    search = open_search(sweep)
    workspace, base = workspace_digest(root), load_yaml(root / PARAMS)
    done = experiments(root)
    tried: dict[str, Tried] = {}
    trials: dict[str, Overrides] = {}
    try:
        with closing(LocalWorkers(root, places, trials)) as workers:
            while batch := search.propose(len(places)):
                named = {
                    trial_name(sweep.name, changed_params(base, each, file), workspace): each
                    for each in batch
                }
                if dry_run:
                    print("\n".join(_plan(sweep, named, done)))
                    return
                trials.update(named)
                new = [name for name in named if name not in done and name not in tried]
                _run(new, workers, root, memory_gib, tried, trials)
                done = experiments(root)
                for name in named:
                    if name in done:
                        value = score(root, done[name], sweep.metric)
                        tried[name] = Tried(name, trials[name], value)
                for each in batch:
                    name = trial_name(sweep.name, changed_params(base, each, file), workspace)
                    search.tell(each, tried[name].score)
    finally:
        if tried:
            print("\n".join(_table(sweep, list(tried.values()))), flush=True)
    failed = [one for one in tried.values() if one.score is None]
    if failed:
        raise SweepFailed(
            f"{plural(len(failed), 'trial')} failed, the first because: {failed[0].error}",
            where=failed[0].name,
            hint=f"its output is in {failed[0].log}; the same command tries these again, and "
            "keeps the others",
        )


def _run(
    names: Sequence[str],
    workers: LocalWorkers,
    root: Path,
    memory_gib: float,
    tried: dict[str, Tried],
    trials: dict[str, Overrides],
) -> None:
    """Run trials, several at a time; record those that fail."""
    if not names:
        return
    # The commands are similar for `Estimates`: a trial's time hardly depends on its values.
    graph = Graph(tuple(Stage(name, f"sweep --name {name}", (), (), "changed") for name in names))
    estimates = Estimates.load(root)
    schedule = Schedule(graph, filled_in(estimates.seconds(graph.stages), graph))
    run = Run(graph, schedule, estimates, memory_gib, what="trial")
    try:
        with open_view(run, workers) as view:
            execute(run, workers, view, root)
    finally:
        for one in run.failed:
            tried[one.stage] = Tried(
                one.stage, trials[one.stage], None, one.outcome.message, one.log
            )


def _plan(sweep: Sweep, named: dict[str, Overrides], done: dict[str, str]) -> list[str]:
    """Return the lines of ``--dry-run``."""
    there = sum(name in done for name in named)
    lines = [f"{plural(len(named), 'trial')}, {there} of them done:"]
    lines += [
        f"  {name}  {_words(values)}{'  (done)' if name in done else ''}"
        for name, values in named.items()
    ]
    if sweep.search == "optuna":
        lines.append(f"of {sweep.trials}; the others depend on the scores of these")
    return lines


def _table(sweep: Sweep, tried: list[Tried]) -> list[str]:
    """Return a line for each trial, the best first, and how to go on."""
    known = [one for one in tried if one.score is not None]
    known.sort(key=lambda one: one.score or 0.0, reverse=sweep.goal == "maximize")
    lines = [f"{sweep.metric}, the best first:"]
    lines += [f"  {one.score:.6g}  {one.name}  {_words(one.values)}" for one in known]
    lines += [f"  failed  {one.name}  {_words(one.values)}" for one in tried if one.score is None]
    if known:
        lines.append(
            f"`dvc exp apply {known[0].name}` adopts the best one; `dvc exp show --only-changed` "
            "compares all metrics"
        )
    return lines


def _words(values: Overrides) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items())
