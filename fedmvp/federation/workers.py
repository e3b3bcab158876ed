"""Several clients of a round at once: a process per device, each with its own backend.

An update depends only on what the client is sent (tensors, its state, round and learning rate) and
on what every worker builds in the same way (data, method, seed). Updates are passed on in the
cohort's order, so neither the number of workers nor which finishes first changes the result.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing.connection import wait
from multiprocessing.queues import SimpleQueue
from types import TracebackType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fedmvp.errors import ClientFailure
from fedmvp.federation.backend import InProcessBackend
from fedmvp.federation.client import ClientState, ClientUpdate
from fedmvp.federation.failures import Failure
from fedmvp.federation.states import States
from fedmvp.interruption import raise_if_stopped

__all__ = ["Build", "WorkerBackend", "Workers"]

Build = Callable[[str], Callable[[str], InProcessBackend]]
"""Device → fold → backend; called in a worker, so it must be picklable."""

# Arrays, not tensors: torch would send tensors through shared memory, which ends with either end.
_Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class _State:
    """A `ClientState` as sent between processes."""

    phase: str
    momentum: _Arrays
    personal: _Arrays

    @classmethod
    def of(cls, state: ClientState) -> _State:
        return cls(state.phase, _arrays(state.momentum), _arrays(state.personal))

    def on(self, device: torch.device) -> ClientState:
        return ClientState(
            self.phase, _tensors(self.momentum, device), _tensors(self.personal, device)
        )


@dataclass(frozen=True)
class _Job:
    """What is sent to a client."""

    fold: str
    client: str
    tensors: _Arrays
    state: _State
    round_index: int
    learning_rate: float
    extra: _Arrays


@dataclass(frozen=True)
class _Done:
    """What a client sends back; the update's tensors are separate, as arrays.

    `state` is the client's state after an update; it is not valid after a failure.
    """

    result: ClientUpdate | Failure
    tensors: _Arrays
    state: _State


class Workers:
    """Processes that train clients; leaving the context ends them, after an error at once.

    Parameters
    ----------
    build : Build
    devices : sequence of str
        One process for each; a device may be named more than once.
    """

    def __init__(self, build: Build, devices: Sequence[str]) -> None:
        context = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
        names: SimpleQueue[str] = context.SimpleQueue()
        for name in devices:
            names.put(name)
        self.devices = tuple(devices)
        self._pool = ProcessPoolExecutor(len(devices), context, _begin, (build, names))

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # All children of this process are in this pool: stages start no others.
        children = multiprocessing.active_children()
        self._pool.shutdown(wait=error is None, cancel_futures=True)
        if error is not None:
            for child in children:
                child.terminate()

    def backend(self, fold: str, states: States) -> WorkerBackend:
        """Return the backend of one fold's federation."""
        return WorkerBackend(self, fold, states)

    def submit(self, jobs: Sequence[_Job]) -> Iterator[_Done]:
        """Yield the outcomes of jobs, in their order.

        Raises
        ------
        ClientFailure
            When a worker ended unexpectedly.
        """
        try:
            for done in self._pool.map(_train, jobs):
                raise_if_stopped()
                yield done
        except BrokenProcessPool:
            raise ClientFailure(
                "a worker process ended unexpectedly, most often for lack of memory",
                where="FEDMVP_DEVICE",
                value=",".join(self.devices),
                hint="see what it printed above; use fewer devices or free memory, then run "
                "again: finished rounds are kept",
            ) from None


class WorkerBackend:
    """Trains the clients of one fold in `workers`; see `fedmvp.federation.backend.Backend`."""

    def __init__(self, workers: Workers, fold: str, states: States) -> None:
        self.workers = workers
        self.fold = fold
        self.states = states

    def run(
        self,
        tensors: Mapping[str, Tensor],
        clients: Sequence[str],
        round_index: int,
        learning_rate: float,
        extra: Mapping[str, Mapping[str, Tensor]] | None = None,
        since: Mapping[str, int] | None = None,
    ) -> Iterator[ClientUpdate | Failure]:
        """Yield each client's update in turn."""
        device = next(iter(tensors.values())).device
        sent = _arrays(tensors)
        starts = {client: self.states.start(client, round_index, since) for client in clients}
        jobs = [
            _Job(
                self.fold,
                client,
                sent,
                _State.of(starts[client][1]),
                round_index,
                learning_rate,
                _arrays((extra or {}).get(client, {})),
            )
            for client in clients
        ]
        for client, done in zip(clients, self.workers.submit(jobs), strict=True):
            result = done.result
            if isinstance(result, ClientUpdate):
                after = done.state.on(device)
                start, _ = starts[client]
                self.states.keep(client, after, since=start, after=round_index + 1)
                result = replace(result, tensors=_tensors(done.tensors, device))
            yield result


class _Worker:
    """A worker process's data: a backend for each fold it has worked on."""

    def __init__(self, backend_of: Callable[[str], InProcessBackend]) -> None:
        self.backend_of = backend_of
        self.backends: dict[str, InProcessBackend] = {}

    def train(self, job: _Job) -> _Done:
        if job.fold not in self.backends:
            self.backends[job.fold] = self.backend_of(job.fold)
        backend = self.backends[job.fold]
        device = next(iter(backend.method.tensors().values())).device
        state = job.state.on(device)
        sent, extra = _tensors(job.tensors, device), _tensors(job.extra, device)
        result = backend.train(job.client, state, sent, job.round_index, job.learning_rate, extra)
        tensors: _Arrays = {}
        if isinstance(result, ClientUpdate):
            tensors, result = _arrays(result.tensors), replace(result, tensors={})
        return _Done(result, tensors, _State.of(state))


# A pool's functions can reach what its initializer made only as a variable of the module.
_here: list[_Worker] = []


def _begin(build: Build, names: Any) -> None:
    """Make this process a worker on the next device."""
    # Ctrl-C in a terminal reaches all processes; the parent decides when these end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _here.append(_Worker(build(names.get())))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _train(job: _Job) -> _Done:
    return _here[0].train(job)


def _arrays(tensors: Mapping[str, Tensor]) -> _Arrays:
    return {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}


def _tensors(arrays: _Arrays, device: torch.device) -> dict[str, Tensor]:
    return {name: torch.tensor(array, device=device) for name, array in arrays.items()}
