"""``python -m pipeline.cluster REQUEST``: what `fedmvp run` starts, with its options as JSON."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from fedmvp.errors import ConfigError, FedMVPError
from pipeline.cluster.engines import open_workers, planned_places
from pipeline.cluster.estimates import RUN_FOLDER, Estimates
from pipeline.cluster.execution import Run, Workers, execute
from pipeline.cluster.graph import Graph, read_graph
from pipeline.cluster.lock_order import locked_names, sort_lock
from pipeline.cluster.places import local_places, machine_memory_gib
from pipeline.cluster.plan import Schedule
from pipeline.cluster.report import describe_plan, filled_in, summary
from pipeline.cluster.request import Request, gpu_numbers
from pipeline.cluster.sweep.driver import run_sweep
from pipeline.cluster.table import open_view
from pipeline.support.stage import run_stage

_ROOT = Path()
_TRACK = "track"


class RunFailed(FedMVPError):
    """Stages failed."""


def main() -> None:
    """Run the requested stages."""
    request = Request.model_validate_json(sys.argv[1])
    local = local_places(request.jobs, gpu_numbers(request.gpus), request.threads)
    estimates = Estimates.load(_ROOT)
    with _alone():
        if request.sweep is not None:
            file, dry_run = Path(request.sweep), request.dry_run
            run_sweep(file, local, _ROOT, _memory_gib(request), dry_run=dry_run)
            return
        graph = read_graph(_ROOT, request.targets)
        if request.dry_run:
            seconds = estimates.seconds(graph.stages)
            print("\n".join(describe_plan(graph, seconds, planned_places(request, local))))
            return
        to_do = graph.to_do
        if not to_do.stages:
            print("everything is up to date")
            return
        schedule = Schedule(to_do, filled_in(estimates.seconds(to_do.stages), to_do))
        run = Run(to_do, schedule, estimates, _memory_gib(request))
        with ExitStack() as stack:
            _work(run, graph, open_workers(stack, request, graph, local, _ROOT))
    _sync(run)
    if run.failed:
        raise _failure(run)


def _work(run: Run, graph: Graph, workers: Workers) -> None:
    """Run, and print a summary, however the run ends."""
    before, began = locked_names(_ROOT), time.monotonic()
    try:
        with open_view(run, workers) as view:
            execute(run, workers, view, _ROOT)
    finally:
        sort_lock(_ROOT, graph, before)
        print("\n".join(summary(run, time.monotonic() - began)), flush=True)


def _memory_gib(request: Request) -> float:
    """Return how much memory stages may take together; Ray takes care of a cluster's machines."""
    if request.address is not None:
        return math.inf
    return request.memory_gib or machine_memory_gib()


def _sync(run: Run) -> None:
    """Record new results in MLflow, once all of them are complete.

    If the stage `track` is one of those that ran, it has already done so.
    """
    new = {one.stage for one in run.ended if one.outcome.kind in ("ran", "restored")}
    if _TRACK not in new and any(run.stages[name].makes_results for name in new):
        from fedmvp.tracking.sync import sync

        print(sync(_ROOT))


def _failure(run: Run) -> RunFailed:
    first = run.failed[0]
    others = [one.stage for one in run.failed[1:]]
    also = f"; failed as well: {', '.join(others)}" if others else ""
    return RunFailed(
        f"failed: {first.outcome.message}{also}",
        where=first.stage,
        hint=f"its output is in {first.log}; what succeeded is kept, and the same command "
        "continues with the rest",
    )


@contextmanager
def _alone() -> Iterator[None]:
    """Make sure that no other run is active in this checkout."""
    path = _ROOT / RUN_FOLDER / "lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(path, timeout=0):
            yield
    except Timeout:
        raise ConfigError(
            "another run is active in this checkout",
            where=path,
            hint="wait until it ends, or stop it",
        ) from None


if __name__ == "__main__":
    run_stage(main)
