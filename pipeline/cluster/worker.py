"""``python -m pipeline.cluster.worker``: reproduces stages in this checkout, one after the other.

A line on standard input names a stage and the file for its output; a line on standard output says
how it ended. The process leads its own process group, so Ctrl-C in a terminal reaches only the
process that started it. When that process ends, standard input ends, too: the worker then stops
the stage, which keeps its finished rounds, and ends.
"""

from __future__ import annotations

import gc
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from pipeline.cluster.outcome import Outcome
from pipeline.cluster.reproduce import open_repository, reproduce
from pipeline.cluster.sweep.trial import run_trial
from pipeline.cluster.travel import Transfer, fetch_inputs, publish_outputs

__all__ = ["Order"]


class Order(BaseModel):
    """An order to a worker.

    Parameters
    ----------
    log : str
        File for what the stage prints.
    fresh : bool
        Whether to overwrite the log.
    transfer : Transfer, optional
        For a worker with its own checkout.
    trial : mapping, optional
        Entries of params.yaml; with them, `stage` is the name of an experiment to run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: str
    log: str
    fresh: bool = False
    transfer: Transfer | None = None
    trial: Mapping[str, Any] | None = None


def main() -> None:
    """Work until standard input ends."""
    gc.enable()
    for number in (signal.SIGINT, signal.SIGTERM):
        # The signal is meant for the stage, in the same group; its outcome must still be reported.
        signal.signal(number, lambda *_: None)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8", buffering=1)
    repo = None
    for order in _orders():
        Path(order.log).parent.mkdir(parents=True, exist_ok=True)
        with Path(order.log).open("w" if order.fresh else "a", encoding="utf-8") as log:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
                os.dup2(log.fileno(), stream.fileno())
        try:
            config = None if order.transfer is None else order.transfer.config
            repo = repo or open_repository(Path(), config)
            outcome = _work(repo, order)
        except Exception as error:  # an error in our code or DVC's; its traceback is in the log
            traceback.print_exc()
            outcome = Outcome(kind="failed", message=f"{type(error).__name__}: {error}")
        print(outcome.model_dump_json(), file=answers)


def _work(repo: Any, order: Order) -> Outcome:
    """Run a trial, or a stage; fetch its inputs and send its outputs if there is a remote."""
    if order.trial is not None:
        return run_trial(repo, order.stage, order.trial)
    if order.transfer is None:
        return reproduce(repo, order.stage)
    fetch_inputs(repo, order.transfer)
    outcome = reproduce(repo, order.stage)
    if not outcome.good:
        return outcome
    return outcome.model_copy(update={"locked": publish_outputs(repo, order.stage)})


def _orders() -> Iterator[Order]:
    """Yield incoming orders; a thread reads them, so it notices the end of input at once."""
    orders: queue.SimpleQueue[Order | None] = queue.SimpleQueue()

    def read() -> None:
        for line in sys.stdin.buffer:
            busy.set()
            orders.put(Order.model_validate_json(line))
        orders.put(None)
        if busy.is_set():
            # Kill the group only if this process leads it: otherwise it contains our parent.
            leads = os.getpgrp() == os.getpid()
            os.kill(0 if leads else os.getpid(), signal.SIGTERM)

    busy = threading.Event()
    threading.Thread(target=read, daemon=True).start()
    while (order := orders.get()) is not None:
        yield order
        busy.clear()


if __name__ == "__main__":
    main()
