"""The round loop: cohorts, failures, checkpoints; a resumed run ends in the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from fedmvp.clip.backbone import Backbone
from fedmvp.config import FederationParams
from fedmvp.errors import CheckpointError, ClientFailure, DataError
from fedmvp.federation.backend import InProcessBackend
from fedmvp.federation.checkpoint import Checkpoint, CheckpointFolder
from fedmvp.federation.client import ClientData, ClientState, ClientUpdate
from fedmvp.federation.failures import Failure
from fedmvp.federation.rounds import FederationResult, RoundReport, run_federation
from fedmvp.methods.classes import TextBank
from tests.toys import NAMES, federation, fedmvp, toy_client

pytestmark = pytest.mark.usefixtures("words")

CLIENTS = {"a": NAMES[:2], "b": NAMES[2:5], "c": NAMES[5:7]}
Load = Callable[[str], ClientData]


@pytest.fixture(scope="module")
def load(bank: TextBank) -> Load:
    data = {
        client: toy_client(bank, names, per_class=1, seed=i)
        for i, (client, names) in enumerate(CLIENTS.items())
    }
    return data.__getitem__


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


def run(
    tiny: Backbone,
    load: Load,
    params: FederationParams,
    folder: Path | None = None,
    *,
    kill_after: int | None = None,
    progress: Callable[[RoundReport], None] | None = None,
    **method_params: Any,
) -> FederationResult:
    method = fedmvp(tiny, **method_params)
    start = {name: tensor.detach().clone() for name, tensor in method.tensors().items()}
    backend = InProcessBackend(method, load, list(CLIENTS), params, 1)
    checkpoints = None
    if folder:
        checkpoints = _Killing(folder, kill_after) if kill_after else CheckpointFolder(folder)
    return run_federation(start, backend, list(CLIENTS), params, seed=1, checkpoints=checkpoints,
                          progress=progress)  # fmt: skip


class _Killing(CheckpointFolder):
    def __init__(self, path: Path, after: int) -> None:
        super().__init__(path)
        self.after = after

    def save(self, checkpoint: Checkpoint) -> None:
        super().save(checkpoint)
        if checkpoint.rounds_done == self.after:
            raise Killed


def same(one: FederationResult, other: FederationResult) -> bool:
    return (
        one.rows == other.rows
        and one.failures == other.failures
        and list(one.tensors) == list(other.tensors)
        and all(torch.equal(one.tensors[name], other.tensors[name]) for name in one.tensors)
    )


VARIANTS: dict[str, dict[str, Any]] = {
    # sigma is passed by some clients only, so phases are mixed.
    "paper": {"switch_loss": 1.3},
    "official-code": {"switch_loss": 1.3, "variant": "official-code"},
}


RULES: dict[str, dict[str, Any]] = {
    "fedavg": {},
    "fedadam": {"aggregation": "fedadam", "server_learning_rate": 0.01},
    # Noise is drawn tensor by tensor, so their order has to come back, too.
    "private": {"privacy": {"clip_norm": 1.0, "noise_multiplier": 0.01, "delta": 1e-5}},
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_resume_after_any_round_gives_equal_bytes(
    tiny: Backbone, load: Load, tmp_path: Path, variant: str, rule: str
) -> None:
    """Global tensors, server state, phases, momenta and the log all come back."""
    params = federation(rounds=3, client_state="persistent", participation=0.7, batch_size=2,
                        **RULES[rule])  # fmt: skip
    whole = run(tiny, load, params, **VARIANTS[variant])
    assert {row["phase"] for row in whole.rows} == {"promptformer", "lora"}
    for stop in (1, 2):
        folder = tmp_path / f"{stop}"
        with pytest.raises(Killed):
            run(tiny, load, params, folder, kill_after=stop, **VARIANTS[variant])
        assert same(run(tiny, load, params, folder, **VARIANTS[variant]), whole)


def test_a_finished_run_is_read_not_repeated(tiny: Backbone, load: Load, tmp_path: Path) -> None:
    params = federation(rounds=2)
    whole = run(tiny, load, params, tmp_path)

    def never(client: str) -> ClientData:
        raise AssertionError("a client was loaded")

    assert same(run(tiny, never, params, tmp_path), whole)


@pytest.mark.parametrize("damage", ["truncated", "altered", "emptied", "renamed"])
def test_a_damaged_checkpoint_falls_back_to_the_round_before(
    tiny: Backbone, load: Load, tmp_path: Path, damage: str
) -> None:
    params = federation(rounds=3)
    whole = run(tiny, load, params)
    with pytest.raises(Killed):
        run(tiny, load, params, tmp_path, kill_after=2)
    files = sorted(tmp_path.glob("*.safetensors"))
    assert len(files) == 2
    content = bytearray(files[-1].read_bytes())
    if damage == "truncated":
        files[-1].write_bytes(content[: len(content) // 2])
    elif damage == "altered":
        content[-100] ^= 1
        files[-1].write_bytes(content)
    elif damage == "emptied":
        files[-1].write_bytes(b"")
    else:
        files[-1].rename(tmp_path / "round-000002-0123456789abcdef.safetensors")
    newest = CheckpointFolder(tmp_path).newest()
    assert newest is not None
    assert newest.rounds_done == 1
    assert same(run(tiny, load, params, tmp_path), whole)


def test_the_newest_two_checkpoints_are_kept(tiny: Backbone, load: Load, tmp_path: Path) -> None:
    run(tiny, load, federation(rounds=4), tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert [name[:12] for name in names] == ["round-000003", "round-000004"]
    folder = CheckpointFolder(tmp_path)
    folder.remove()
    assert not tmp_path.exists()
    folder.remove()  # nothing left to remove is no error
    assert folder.newest() is None


def test_checkpoints_hold_everything_exactly() -> None:
    draw = torch.Generator().manual_seed(0)
    states = {
        "dir/a": ClientState("lora", {"x.y": torch.randn(3, generator=draw)}),
        "b": ClientState("promptformer", personal={"p": torch.randn(2, 2, generator=draw)}),
    }
    rows = [{"round": 0, "loss": 0.1 + 0.2, "client": "é"}]
    one = Checkpoint(4, {"w": torch.randn(5, generator=draw)}, {"m": torch.ones(1)}, states, rows,
                     [{"error": "x"}])  # fmt: skip
    two = Checkpoint.from_bytes(one.to_bytes())
    assert two.to_bytes() == one.to_bytes()
    assert (two.rounds_done, two.rows, two.failures) == (4, rows, [{"error": "x"}])
    assert torch.equal(two.states["dir/a"].momentum["x.y"], states["dir/a"].momentum["x.y"])
    assert torch.equal(two.states["b"].personal["p"], states["b"].personal["p"])
    assert {name: state.phase for name, state in two.states.items()} == {
        "dir/a": "lora", "b": "promptformer"
    }  # fmt: skip


def test_partial_participation(tiny: Backbone, load: Load) -> None:
    """A round trains its cohort only, and logs one row per selected client."""
    params = federation(rounds=6, participation=0.4)
    result = run(tiny, load, params)
    assert [row["round"] for row in result.rows] == list(range(6))
    assert len({row["client"] for row in result.rows}) > 1
    rates = [row["learning_rate"] for row in result.rows]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == 0.01


def test_rows_and_progress(tiny: Backbone, load: Load) -> None:
    told: list[RoundReport] = []
    result = run(tiny, load, federation(rounds=2), progress=told.append)
    assert [(r["round"], r["client"]) for r in result.rows] == [
        (i, client) for i in range(2) for client in CLIENTS
    ]
    assert {"phase", "images", "loss", "loss_ce", "loss_con", "accuracy", "bytes_up"} <= set(
        result.rows[0]
    )
    assert [(r.round_index, r.client, r.clients) for r in told[:3]] == [(0, 1, 3), (0, 2, 3),
                                                                        (0, 3, 3)]  # fmt: skip
    assert told[0].loss == result.rows[0]["loss"]


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
    assert "test_rounds.py" in failure["trace"] and "/" not in failure["trace"]
    assert [report.loss is None for report in told] == [False, True, False]
    alone = {name: run_alone(tiny, load, name, params) for name in ("a", "c")}
    for name, tensor in result.tensors.items():
        mean = (alone["a"][name].double() + alone["c"][name].double()) / 2
        assert torch.equal(tensor, mean.float())


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (FileNotFoundError(2, "No such file or directory", "/home/ann/my data/cat.png"),
         "FileNotFoundError: No such file or directory: cat.png"),
        (OSError(28, "No space left on device"), "OSError: No space left on device"),
        (OSError("cannot identify image file '/srv/data/a b.png'"),
         "OSError: cannot identify image file 'a b.png'"),
        (RuntimeError("<Tensor at 0x7f31aa40> of https://host/a is in /etc/x.d/y, (1/2)"),
         "RuntimeError: <Tensor at 0x…> of https://host/a is in y, (1/2)"),
        (DataError("cannot be decoded", where=Path.cwd() / "raw/one two.png", mend="fetch again"),
         "DataError: raw/one two.png: cannot be decoded; mend: fetch again"),
        (ValueError("and/or 3 / 4"), "ValueError: and/or 3 / 4"),
    ],
)  # fmt: skip
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
    ) -> Iterator[ClientUpdate | Failure]:
        for result in super().run(tensors, clients, round_index, learning_rate):
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
    with pytest.raises(ClientFailure, match=r"round 0: aggregation made .* not finite.*float64"):
        run_federation(start, backend, list(CLIENTS), params, seed=1)


def test_two_processes_cannot_train_one_run(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path / "scratch/run")
    with folder.held():
        (folder.path / "fold").mkdir(parents=True)
        half = folder.path / "fold/.round-000001.partial"
        half.write_bytes(b"half a checkpoint")
        with (
            pytest.raises(CheckpointError, match="another process"),
            CheckpointFolder(folder.path).held(),
        ):
            pass
        assert half.exists()
    with folder.held():  # the first has gone; what it left half written goes, too
        assert not half.exists()


def test_a_failed_client_goes_back_to_the_state_it_had(tiny: Backbone, load: Load) -> None:
    """Momentum changed by steps before the failure would be lost work's trace."""
    method = fedmvp(tiny)
    start = {name: tensor.detach().clone() for name, tensor in method.tensors().items()}
    params = federation(rounds=1, client_state="persistent", on_client_failure="skip",
                        batch_size=1)  # fmt: skip
    backend = InProcessBackend(method, load, ["a"], params, 1)
    [update] = backend.run(start, ["a"], 0, 0.01)
    assert isinstance(update, ClientUpdate)
    before = {name: buffer.clone() for name, buffer in backend.states["a"].momentum.items()}
    [failure] = backend.run(start, ["a"], 1, 1e20)  # diverges after its first step
    assert isinstance(failure, Failure)
    after = backend.states["a"].momentum
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert backend.states["a"].phase == "promptformer"


def test_weights_that_diverge_in_the_last_step_fail_too(tiny: Backbone, load: Load) -> None:
    """The loss was finite, the tensors are not: the client's momentum must not keep it."""
    method = fedmvp(tiny)
    start = {name: tensor.detach().clone() for name, tensor in method.tensors().items()}
    params = federation(client_state="persistent", on_client_failure="skip", batch_size=8)
    backend = InProcessBackend(method, load, ["a"], params, 1)
    [failure] = backend.run(start, ["a"], 0, float("inf"))
    assert isinstance(failure, Failure)
    assert "not finite" in failure.error
    assert not backend.states["a"].momentum
