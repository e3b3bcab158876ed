"""Clients trained in several processes: the same bytes, clear errors, nothing left behind."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from fedmvp.config import FederationParams
from fedmvp.errors import ClientFailure, ConfigError, DataError
from fedmvp.federation.backend import Backend, InProcessBackend
from fedmvp.federation.client import ClientData
from fedmvp.federation.rounds import FederationResult, run_federation
from fedmvp.federation.states import MemoryStates, States
from fedmvp.federation.workers import Workers
from fedmvp.methods.base import Batch, Loss, Method, RoundLosses
from fedmvp.methods.classes import ClassSet
from fedmvp.methods.heads import SoftmaxHead
from fedmvp.shortcuts import Shortcuts
from tests.paths import ROOT
from tests.toys import federation

CLIENTS = {"a": 5, "b": 3, "c": 8}


class Regression(Method):
    """Least squares with a part the client keeps, on numbers drawn from the client's name."""

    first_phase = "first"
    personal = True

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self._backbone: Any = (SimpleNamespace(shortcuts=Shortcuts()),)
        self.head = SoftmaxHead()
        self.shared = nn.Parameter(torch.zeros(4))
        self.own = nn.Parameter(torch.zeros(4))

    def trainable(self, phase: str) -> list[str]:
        return ["shared", "own"]

    def communicated(self, phase: str) -> list[str]:
        return ["shared"]

    def downloaded(self, phase: str) -> list[str]:
        return ["shared"]

    def enter(self, phase: str | None) -> None: ...

    def next_phase(self, phase: str, local: RoundLosses) -> str:
        return "second" if local.last_batch_loss < 3 else phase

    def logits(self, images: Tensor, classes: ClassSet) -> Tensor:
        return (images @ (self.shared + self.own))[:, None]

    def loss(self, batch: Batch, classes: ClassSet) -> Loss:
        noise = torch.rand(len(batch.labels), generator=batch.generator)
        scores = self.logits(batch.images, classes)
        loss = (scores[:, 0] - batch.labels - noise).square().mean()
        return Loss(loss, scores, {"loss_ce": loss})


class Numbers:
    """Stands for a client's images."""

    def __init__(self, client: str) -> None:
        draw = torch.Generator().manual_seed(ord(client))
        self.x = torch.randn(CLIENTS[client], 4, generator=draw)
        self.classes = None

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, rows: Any, generator: torch.Generator) -> Batch:
        index = torch.from_numpy(rows)
        return Batch(self.x[index], self.x[index].sum(dim=1).long(), lambda flips: flips, generator)


def load(client: str, broken: str) -> ClientData:
    if client == broken:
        raise DataError("image cannot be decoded", where=client, value="x.png", hint="fetch it")
    if broken == f"kill {client}":
        os.kill(os.getpid(), signal.SIGKILL)
    return cast("ClientData", Numbers(client))


def backend(params: FederationParams, broken: str = "", fold: str = "all") -> InProcessBackend:
    return InProcessBackend(Regression(), partial(load, broken=broken), list(CLIENTS), params, 7)


def build(params: FederationParams, broken: str, device: str) -> Any:
    assert device.startswith("place")
    return partial(backend, params, broken)


def start() -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in Regression().tensors().items()}


def federate(runner: Backend, params: FederationParams) -> FederationResult:
    return run_federation(start(), runner, list(CLIENTS), params, seed=7)


def states() -> States:
    return MemoryStates("first")


def plain(states: States, rounds: int) -> Any:
    kept = {client: states.before(client, rounds) for client in CLIENTS}
    return {
        client: (
            s.phase,
            {n: t.tolist() for n, t in s.momentum.items()},
            {n: t.tolist() for n, t in s.personal.items()},
        )
        for client, s in kept.items()
    }


@pytest.fixture(autouse=True)
def none_left() -> Iterator[None]:
    yield
    # Not by joining: the pool's own thread collects them, too, and only one of both is told.
    for _ in range(200):
        if not multiprocessing.active_children():
            return
        time.sleep(0.05)
    pytest.fail(f"still there: {multiprocessing.active_children()}")


@pytest.mark.parametrize("count", [1, 2])
def test_any_number_of_workers_gives_the_bytes_of_none(count: int) -> None:
    """With momentum, personal tensors, phases and a client that fails."""
    params = federation(
        rounds=4, client_state="persistent", on_client_failure="skip", learning_rate=0.1
    )
    here = backend(params, "b")
    expected = federate(here, params)
    assert {phase for phase, *_ in plain(here.states, 4).values()} == {"first", "second"}
    assert expected.failures
    with Workers(partial(build, params, "b"), [f"place{k}" for k in range(count)]) as workers:
        there = workers.backend("all", states())
        found = federate(there, params)
    assert (found.rows, found.failures) == (expected.rows, expected.failures)
    assert all(torch.equal(found.tensors[name], expected.tensors[name]) for name in start())
    assert plain(there.states, 4) == plain(here.states, 4)


def test_what_one_client_is_sent_reaches_it_and_no_other() -> None:
    params = federation(learning_rate=0.1)
    extra = {"b": {"own": torch.ones(4)}}
    here, plain_one = backend(params), backend(params)
    expected = list(here.run(start(), list(CLIENTS), 0, 0.1, extra))
    without = list(plain_one.run(start(), list(CLIENTS), 0, 0.1))
    with Workers(partial(build, params, ""), ["place0", "place1"]) as workers:
        there = workers.backend("all", states())
        found = list(there.run(start(), list(CLIENTS), 0, 0.1, extra))
    assert plain(there.states, 1) == plain(here.states, 1)
    for client, mine, theirs, other in zip(CLIENTS, found, expected, without, strict=True):
        assert mine.metrics == theirs.metrics  # type: ignore[union-attr]
        assert (theirs.metrics == other.metrics) == (client != "b")  # type: ignore[union-attr]
        assert theirs.bytes_down == (32 if client == "b" else 16)  # type: ignore[union-attr]


def test_a_clients_error_comes_back_whole() -> None:
    params = federation()
    with (
        pytest.raises(DataError, match=r"^c: image cannot.*'x.png'.*hint: fetch it") as caught,
        Workers(partial(build, params, "c"), ["place", "place"]) as workers,
    ):
        federate(workers.backend("all", states()), params)
    assert caught.value.__notes__ == ["client c, round 0"]


def test_a_worker_that_dies_is_told() -> None:
    params = federation(on_client_failure="skip")
    with (
        pytest.raises(ClientFailure, match=r"FEDMVP_DEVICE.*lack of memory.*'place1,place2'"),
        Workers(partial(build, params, "kill b"), ["place1", "place2"]) as workers,
    ):
        federate(workers.backend("all", states()), params)


def test_an_interrupt_ends_the_workers() -> None:
    params = federation()
    with (
        pytest.raises(KeyboardInterrupt),
        Workers(partial(build, params, ""), ["place", "place"]) as workers,
    ):
        next(iter(workers.backend("all", states()).run(start(), list(CLIENTS), 0, 0.1)))
        raise KeyboardInterrupt


ORPHANS = """
import multiprocessing, os, signal
from functools import partial
from tests.toys import federation
from tests.unit.federation.test_workers import build, start, states
from fedmvp.federation.states import MemoryStates, States
from fedmvp.federation.workers import Workers
if __name__ == "__main__":
    workers = Workers(partial(build, federation(), ""), ["place", "place"])
    list(workers.backend("all", states()).run(start(), ["a", "b"], 0, 0.1))
    print(*(child.pid for child in multiprocessing.active_children()), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_workers_do_not_outlive_a_killed_stage(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(ORPHANS)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    pids = [int(word) for word in done.stdout.split()]
    assert pids
    for _ in range(100):
        left = [pid for pid in pids if _alive(pid)]
        if not left:
            return
        time.sleep(0.1)
    pytest.fail(f"still there: {left}")


def _alive(pid: int) -> bool:
    """Tell whether a process runs; one that ended and waits to be collected does not."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return False


def test_errors_travel_between_processes() -> None:
    error = ConfigError("unknown key", where="params.yaml", value=3, hint="remove it")
    error.add_note("while reading")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (type(again), str(again), again.__notes__) == (ConfigError, str(error), error.__notes__)
    assert vars(again) == vars(error) | {"__notes__": ["while reading"]}


def test_a_batch_of_the_toy_is_drawn_anew_each_round() -> None:
    """Else the equality above would not see a worker that forgets the round."""
    params = federation(client_state="persistent")
    one = backend(params)
    first, second = (
        next(iter(one.run(start(), ["a"], number, 0.0))).metrics["loss"]  # type: ignore[union-attr]
        for number in (0, 1)
    )
    assert first != second


def test_the_first_client_of_a_worker_is_no_special_one() -> None:
    """A state is replaced by the one sent, not merged with what the worker kept."""
    params = federation(client_state="persistent")
    with Workers(partial(build, params, ""), ["place"]) as workers:
        there = workers.backend("all", states())
        updates = []
        for _ in range(2):
            there.states = states()
            (update,) = there.run(start(), ["a"], 0, 0.1)
            updates.append(update.tensors["shared"].tolist())  # type: ignore[union-attr]
    assert updates[0] == updates[1]
