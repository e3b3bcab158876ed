"""Clients that fail, diverge or send what is not finite: the run stops, or goes on without them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from fedmvp.clip.backbone import Backbone
from fedmvp.config import FederationParams
from fedmvp.errors import ClientFailure, DataError
from fedmvp.federation.backend import InProcessBackend
from fedmvp.federation.client import ClientData, ClientUpdate
from fedmvp.federation.failures import Failure
from fedmvp.federation.rounds import RoundReport, run_federation
from tests.toys import federation, fedmvp
from tests.unit.federation.toy_rounds import CLIENTS, Load, run

pytestmark = pytest.mark.usefixtures("words")


def broken(load: Load, *names: str) -> Load:
    """Return a loader whose named clients cannot be loaded."""

    def inner(client: str) -> ClientData:
        if client in names:
            raise OSError("disk on fire")
        return load(client)

    return inner


def test_a_failing_client_stops_the_run_by_default(tiny: Backbone, load: Load) -> None:
    with pytest.raises(OSError, match="disk on fire") as caught:
        run(tiny, broken(load, "b"), federation())
    assert caught.value.__notes__ == ["client b, round 0"]


def test_a_failing_client_is_skipped_and_written_down(tiny: Backbone, load: Load) -> None:
    """The others are averaged as if it had not been selected."""
    told: list[RoundReport] = []
    params = federation(rounds=1, on_client_failure="skip")
    result = run(tiny, broken(load, "b"), params, progress=told.append)
    assert [row["client"] for row in result.rows] == ["a", "c"]
    [failure] = result.failures
    assert (failure["client"], failure["round_index"]) == ("b", 0)
    assert failure["error"] == "OSError: disk on fire"
    assert "test_failing_clients.py" in failure["trace"] and "/" not in failure["trace"]
    assert [report.loss is None for report in told] == [False, True, False]
    alone = {name: run_alone(tiny, load, name, params) for name in ("a", "c")}
    for name, tensor in result.tensors.items():
        mean = (alone["a"][name].double() + alone["c"][name].double()) / 2
        assert torch.equal(tensor, mean.float())


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            FileNotFoundError(2, "No such file or directory", "/home/ann/my data/cat.png"),
            "FileNotFoundError: No such file or directory: cat.png",
        ),
        (OSError(28, "No space left on device"), "OSError: No space left on device"),
        (
            OSError("cannot identify image file '/srv/data/a b.png'"),
            "OSError: cannot identify image file 'a b.png'",
        ),
        (
            RuntimeError("<Tensor at 0x7f31aa40> of https://host/a is in /etc/x.d/y, (1/2)"),
            "RuntimeError: <Tensor at 0x…> of https://host/a is in y, (1/2)",
        ),
        (
            DataError(
                "cannot be decoded", where=Path.cwd() / "raw/one two.png", hint="fetch again"
            ),
            "DataError: raw/one two.png: cannot be decoded; hint: fetch again",
        ),
        (ValueError("and/or 3 / 4"), "ValueError: and/or 3 / 4"),
    ],
)
def test_a_failure_record_is_the_same_on_every_machine(error: Exception, text: str) -> None:
    assert Failure.of("a", 0, error).error == text


def run_alone(
    tiny: Backbone, load: Load, client: str, params: FederationParams
) -> dict[str, Tensor]:
    method = fedmvp(tiny)
    start = {name: tensor.detach().clone() for name, tensor in method.tensors().items()}
    backend = InProcessBackend(method, load, [client], params, 1)
    return run_federation(start, backend, [client], params, seed=1).tensors


@pytest.mark.parametrize("rule", ["fedavg", "fedadam", "median", "trimmed_mean", "krum"])
def test_too_few_usable_updates_stop_the_run(tiny: Backbone, load: Load, rule: str) -> None:
    params = federation(on_client_failure="skip", min_clients=2, aggregation=rule)
    with pytest.raises(ClientFailure, match=r"round 0 has 1 usable updates of 3.*min_clients"):
        run(tiny, broken(load, "a", "b"), params)
    with pytest.raises(ClientFailure, match=r"round 0 has 0 usable updates of 3"):
        run(tiny, broken(load, "a", "b", "c"), params)


class Poisoned(InProcessBackend):
    """Client b's update arrives damaged."""

    value = float("nan")

    def run(
        self,
        tensors: Mapping[str, Tensor],
        clients: Sequence[str],
        round_index: int,
        learning_rate: float,
        extra: Mapping[str, Mapping[str, Tensor]] | None = None,
        since: Mapping[str, int] | None = None,
    ) -> Iterator[ClientUpdate | Failure]:
        for result in super().run(tensors, clients, round_index, learning_rate, extra, since):
            if isinstance(result, ClientUpdate) and result.client == "b":
                name = next(iter(result.tensors))
                bad = torch.full_like(result.tensors[name], self.value)
                result = replace(result, tensors={**result.tensors, name: bad})
            yield result


def test_poisoned_updates_never_reach_the_average(tiny: Backbone, load: Load) -> None:
    method = fedmvp(tiny)
    start = {name: tensor.detach().clone() for name, tensor in method.tensors().items()}
    for policy in ("fail", "skip"):
        params = federation(rounds=1, on_client_failure=policy)
        backend = Poisoned(method, load, list(CLIENTS), params, 1)
        if policy == "fail":
            with pytest.raises(ClientFailure, match=r"update of client b.*not finite"):
                run_federation(start, backend, list(CLIENTS), params, seed=1)
        else:
            result = run_federation(start, backend, list(CLIENTS), params, seed=1)
            assert [failure["client"] for failure in result.failures] == ["b"]
            assert all(bool(t.isfinite().all()) for t in result.tensors.values())


def test_an_average_that_overflows_is_refused(tiny: Backbone, load: Load) -> None:
    """Each update is finite, their float16 sum is not."""
    method = fedmvp(tiny)
    start = {name: torch.full_like(t.detach(), 3e4) for name, t in method.tensors().items()}

    class Echo(InProcessBackend):
        def run(self, tensors: Mapping[str, Tensor], clients: Sequence[str], *_: Any) -> Any:
            for client in clients:
                yield ClientUpdate(client, tensors, 1, "promptformer", {}, 0)

    params = federation(rounds=1, aggregation_dtype="float16")
    backend = Echo(method, load, list(CLIENTS), params, 1)
    with pytest.raises(ClientFailure, match=r"round 0: aggregation gave .* not finite.*float64"):
        run_federation(start, backend, list(CLIENTS), params, seed=1)


def test_a_failed_client_goes_back_to_the_state_it_had(tiny: Backbone, load: Load) -> None:
    """Momentum changed by steps before the failure would be lost work's trace."""
    method = fedmvp(tiny)
    start = {name: tensor.detach().clone() for name, tensor in method.tensors().items()}
    params = federation(rounds=1, client_state="persistent", on_client_failure="skip", batch_size=1)
    backend = InProcessBackend(method, load, ["a"], params, 1)
    [update] = backend.run(start, ["a"], 0, 0.01)
    assert isinstance(update, ClientUpdate)
    before = backend.states.before("a", 1).momentum
    [failure] = backend.run(start, ["a"], 1, 1e20)  # diverges after its first step
    assert isinstance(failure, Failure)
    after = backend.states.before("a", 2).momentum
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert backend.states.before("a", 2).phase == "promptformer"


def test_weights_that_diverge_in_the_last_step_fail_too(tiny: Backbone, load: Load) -> None:
    """The loss was finite, the tensors are not: the client's momentum must not keep it."""
    method = fedmvp(tiny)
    start = {name: tensor.detach().clone() for name, tensor in method.tensors().items()}
    params = federation(client_state="persistent", on_client_failure="skip", batch_size=8)
    backend = InProcessBackend(method, load, ["a"], params, 1)
    [failure] = backend.run(start, ["a"], 0, float("inf"))
    assert isinstance(failure, Failure)
    assert "not finite" in failure.error
    assert not backend.states.before("a", 1).momentum
