"""Federations of methods with something personal or a server of their own.

Interrupted after any round they end in the same bytes, and no client's result depends on its place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from fedmvp.clip.backbone import Backbone
from fedmvp.config import FederationParams
from fedmvp.federation.backend import InProcessBackend
from fedmvp.federation.checkpoint import Checkpoint, CheckpointFolder
from fedmvp.federation.client import ClientState
from fedmvp.federation.rounds import FederationResult, run_federation
from fedmvp.federation.states import MemoryStates, StateFolder, States
from fedmvp.methods.fedpromptsrc import FedPromptSRC, round_weights
from tests.toys import federation
from tests.unit.baselines.started import create
from tests.unit.federation.toy_rounds import CLIENTS, Killed, Load, killing

pytestmark = pytest.mark.usefixtures("words")

METHODS = (
    "fedotp",
    "fedpgp",
    "promptfolio",
    "fedpha",
    "pfedmoap",
    "fedmgp",
    "fedpromptsrc",
    "fedprograd",
    "fedplot",
)

#: Small, for time; two experts are fewer than there are other clients.
SECTIONS: dict[str, dict[str, Any]] = {
    "pfedmoap": {"n_experts": 2},
    "fedmgp": {"groups": 3, "shared_groups": 1},
}


def run(
    tiny: Backbone,
    load: Load,
    name: str,
    params: FederationParams,
    folder: CheckpointFolder | None = None,
    clients: Sequence[str] = tuple(CLIENTS),
) -> tuple[FederationResult, dict[str, ClientState]]:
    """Return what the server has, and each client, also of kept rounds, as ``<client>@<round>``."""
    method = create(name, tiny, **SECTIONS.get(name, {}))
    start = {key: tensor.detach().clone() for key, tensor in method.tensors().items()}
    first_kept = params.rounds - params.kept_rounds + 1
    states: States = MemoryStates(method.first_phase, first_kept)
    if folder:
        path = folder.path / "states"
        states = StateFolder(path, method.first_phase, all_from=first_kept)
    backend = InProcessBackend(method, load, list(CLIENTS), params, 1, states)
    result = run_federation(
        start,
        backend,
        clients,
        params,
        seed=1,
        checkpoints=folder,
        server=method.server(params.rounds),
    )
    kept = {client: states.before(client, params.rounds) for client in CLIENTS}
    for index in result.earlier:
        kept |= {f"{client}@{index}": states.before(client, index + 1) for client in CLIENTS}
    return result, kept


def check_same(
    one: tuple[FederationResult, dict[str, ClientState]],
    other: tuple[FederationResult, dict[str, ClientState]],
) -> None:
    (result, states), (expected, kept) = one, other
    assert result.rows == expected.rows
    check_tensors(result.tensors, expected.tensors)
    assert list(result.earlier) == list(expected.earlier)
    for index, before in result.earlier.items():
        check_tensors(before, expected.earlier[index])
    check_states(states, kept)


def check_tensors(tensors: Mapping[str, torch.Tensor], others: Mapping[str, torch.Tensor]) -> None:
    assert set(tensors) == set(others)
    for key, tensor in tensors.items():
        assert torch.equal(tensor, others[key]), key


def check_states(states: dict[str, ClientState], kept: dict[str, ClientState]) -> None:
    for client, state in states.items():
        for ours, theirs in (
            (state.personal, kept[client].personal),
            (state.momentum, kept[client].momentum),
        ):
            assert ours.keys() == theirs.keys()
            assert all(torch.equal(tensor, theirs[key]) for key, tensor in ours.items())


@pytest.mark.parametrize("name", METHODS)
def test_a_killed_run_resumes_to_the_same_bytes(
    tiny: Backbone, load: Load, tmp_path: Path, name: str
) -> None:
    params = federation(rounds=3, client_state="persistent", participation=0.7, kept_rounds=3)
    whole = run(tiny, load, name, params)
    for stop in (1, 2):
        with pytest.raises(Killed):
            run(tiny, load, name, params, killing(tmp_path / f"{stop}", stop))
        check_same(run(tiny, load, name, params, CheckpointFolder(tmp_path / f"{stop}")), whole)


@pytest.mark.parametrize("name", METHODS)
def test_the_order_of_clients_changes_no_ones_result(tiny: Backbone, load: Load, name: str) -> None:
    params = federation(rounds=2)
    result, states = run(tiny, load, name, params)
    turned, others = run(tiny, load, name, params, clients=("c", "a", "b"))

    def by_client(found: FederationResult) -> list[dict[str, Any]]:
        return sorted(found.rows, key=lambda row: (row["round"], row["client"]))

    assert by_client(result) == by_client(turned)
    check_states(states, others)
    for key, tensor in result.tensors.items():  # sums in another order
        assert torch.allclose(tensor, turned.tensors[key], rtol=0, atol=1e-7), key


def test_every_client_is_sent_other_experts(tiny: Backbone, load: Load) -> None:
    """None in its first round, then the nearest of the others, which are counted as sent."""
    result, states = run(tiny, load, "pfedmoap", federation(rounds=2))
    size = 4 * 16 * 48
    assert [row["bytes_down"] for row in result.rows] == 3 * [size] + 3 * [2 * size]
    assert [row["bytes_up"] for row in result.rows] == 6 * [size]
    experts = {client: state.personal["experts.0"] for client, state in states.items()}
    # They are what the others sent in the first round.
    _, first = run(tiny, load, "pfedmoap", federation(rounds=1))
    for client, expert in experts.items():
        sent = [torch.equal(expert, first[other].personal["context"]) for other in CLIENTS]
        assert sum(sent) == 1
        assert not sent[list(CLIENTS).index(client)]


def test_a_client_alone_gets_its_groups_back(tiny: Backbone, load: Load) -> None:
    result, states = run(tiny, load, "fedmgp", federation(rounds=1), clients=("a",))
    method = create("fedmgp", tiny, **SECTIONS["fedmgp"])
    assert set(states["a"].personal) == {"text.1", "text.2", "vision.1", "vision.2"}
    start = dict(method.tensors())
    assert not torch.equal(result.tensors["text.0"], start["text.0"])
    assert torch.equal(result.tensors["text.1"], start["text.1"])  # the server's never moves


def test_what_is_evaluated_is_the_average_and_training_goes_on_from_the_last(
    tiny: Backbone, load: Load
) -> None:
    params = federation(rounds=4, schedule="constant")
    result, _ = run(tiny, load, "fedpromptsrc", params)
    method = create("fedpromptsrc", tiny)
    assert isinstance(method, FedPromptSRC)
    start = {key: tensor.detach().clone() for key, tensor in method.tensors().items()}
    last = [
        run_federation(
            start,
            InProcessBackend(method, load, list(CLIENTS), params, 1),
            list(CLIENTS),
            federation(rounds=rounds, schedule="constant"),
            seed=1,
        ).tensors
        for rounds in (1, 2, 3, 4)
    ]
    shares = round_weights(4, 0.75, 0.05)
    for key, tensor in result.tensors.items():
        expected = sum(share * one[key].double() for share, one in zip(shares, last, strict=True))
        assert torch.equal(tensor, torch.as_tensor(expected).float())
        assert not torch.equal(tensor, last[3][key])


@pytest.mark.parametrize("name", ["fedotp", "fedpromptsrc", "fedprograd"])
def test_kept_rounds_are_what_shorter_runs_end_with(tiny: Backbone, load: Load, name: str) -> None:
    """The rate is constant, so a run of two rounds is the first two of one of four."""
    params = federation(rounds=4, schedule="constant", kept_rounds=3)
    result, states = run(tiny, load, name, params)
    assert list(result.earlier) == [1, 2]
    plain, _ = run(tiny, load, name, federation(rounds=4, schedule="constant"))
    assert plain.earlier == {}
    check_tensors(result.tensors, plain.tensors)
    if name == "fedpromptsrc":  # its average is one over the rounds there were
        return
    for index, kept in result.earlier.items():
        short, own = run(tiny, load, name, federation(rounds=index + 1, schedule="constant"))
        check_tensors(kept, short.tensors)
        for client in CLIENTS:
            check_tensors(states[f"{client}@{index}"].personal, own[client].personal)
    assert {bool(state.personal) for state in states.values()} == {name == "fedotp"}


def test_a_servers_state_is_in_the_checkpoint() -> None:
    """Under any client's name."""
    pool = {"dir/a": torch.ones(2, 3), "é\n": torch.zeros(1)}
    one = Checkpoint(1, {"w": torch.ones(1)}, method=pool)
    two = Checkpoint.from_bytes(one.to_bytes())
    assert two.to_bytes() == one.to_bytes()
    assert two.method.keys() == pool.keys()
    assert two.to(torch.device("cpu")).method.keys() == pool.keys()
