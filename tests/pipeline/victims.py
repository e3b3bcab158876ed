"""Training processes to kill, forked from one that has imported everything: each starts at once."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from fedmvp.federation import rounds
from pipeline.support.stage import run_stage
from pipeline.train import main

__all__ = ["MOMENTS", "Victim", "start"]


@dataclass(frozen=True)
class Victim:
    """A training to start in `root`.

    Attributes
    ----------
    moment, count, signal
        The process sends itself `signal` at the `count`-th `moment`; "" for never.
    file_limit : int or None
        Most bytes it may write to a file: a disk that is full.
    """

    root: Path
    moment: str = ""
    count: int = 1
    signal: int = signal.SIGKILL
    file_limit: int | None = None
    log: str = "log.txt"


def start(victim: Victim) -> BaseProcess:
    """Start a training."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    process = context.Process(target=_train, args=(victim,))
    process.start()
    return process


def _train(victim: Victim) -> None:
    os.chdir(victim.root)
    for name in [name for name in os.environ if name.startswith("FEDMVP_")]:
        del os.environ[name]
    log = os.open(victim.log, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
    os.dup2(log, sys.stderr.fileno())
    if victim.file_limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (victim.file_limit, resource.RLIM_INFINITY))
    if victim.moment:
        calls = itertools.count(1)
        strike = partial(os.kill, os.getpid(), victim.signal)
        MOMENTS[victim.moment](lambda: next(calls) == victim.count, strike)
    run_stage(lambda: main(["base_to_new", "fedmvp", "1"]))


Due = Callable[[], bool]
Strike = Callable[[], None]


def _half_written(due: Due, strike: Strike) -> None:
    """When half of a file is on the disk."""
    sync = os.fsync

    def torn(handle: int) -> None:
        if due():
            os.ftruncate(handle, os.fstat(handle).st_size // 2)
            strike()
        sync(handle)

    os.fsync = torn


def _written(due: Due, strike: Strike) -> None:
    """When a file has been written, and has its name or not yet."""
    rename = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if due():
            strike()
        named = rename(self, target)
        if due():
            strike()
        return named

    Path.replace = replace  # type: ignore[method-assign]


def _aggregating(due: Due, strike: Strike) -> None:
    """When the sums hold some of a round's updates."""
    aggregate = rounds.Aggregator.__call__

    def interrupted(updates: Iterable[Any]) -> Iterator[Any]:
        for update in updates:
            yield update
            if due():
                strike()

    def call(self: Any, current: Any, updates: Iterable[Any], *others: Any) -> Any:
        return aggregate(self, current, interrupted(updates), *others)

    rounds.Aggregator.__call__ = call  # type: ignore[method-assign]


MOMENTS: dict[str, Callable[[Due, Strike], None]] = {
    "half written": _half_written,
    "written": _written,
    "aggregating": _aggregating,
}
