"""A federation of sites gives the bytes of the same federation in one process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from fedmvp.clip.backbone import Backbone
from fedmvp.federation.checkpoint import Checkpoint, CheckpointFolder
from fedmvp.federation.rounds import FederationResult
from fedmvp.federation.site_training import SitesResult, train_sites
from fedmvp.federation.states import States
from tests.unit.federation.toy_rounds import Killed
from tests.unit.federation_sites.loopback import Loopback, in_process, plan_of

pytestmark = pytest.mark.usefixtures("words")

#: FedMVP switches its phase on the way; the first and the last of the others keep tensors.
METHODS: dict[str, dict[str, Any]] = {
    "fedmvp": {"switch_loss": 100.0},
    "promptfl": {},
    "fedotp": {},
    "pfedmoap": {"n_experts": 2},
}
#: FedMVP and one that keeps tensors are enough for `make test`.
NAMES = [
    pytest.param(name, marks=[] if name in ("fedmvp", "fedotp") else [pytest.mark.minutes])
    for name in METHODS
]


def serve(loopback: Loopback, **options: Any) -> SitesResult:
    backend = loopback.server(**options)
    return train_sites(loopback.plan, backend.method, backend, loopback.folder / "server")


def check_same(found: FederationResult, expected: FederationResult) -> None:
    assert found.rows == expected.rows
    assert found.failures == expected.failures
    assert save(found.tensors) == save(expected.tensors)


def check_states(loopback: Loopback, states: States, rounds: int) -> None:
    for client, site in loopback.sites.items():
        ours, theirs = site.kept.before(client, rounds), states.before(client, rounds)
        assert ours.phase == theirs.phase
        for mine, other in ((ours.momentum, theirs.momentum), (ours.personal, theirs.personal)):
            assert mine.keys() == other.keys()
            assert all(torch.equal(mine[name], other[name]) for name in mine)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("state", ["fresh", "persistent"])
def test_sites_give_the_bytes_of_one_process(
    tiny: Backbone, tmp_path: Path, name: str, state: str
) -> None:
    """With partial participation and weights by images, of which sites have unlike numbers."""
    entries = {"client_state": state, "participation": 0.7, "weighting": "samples"}
    loopback = Loopback(tmp_path, tiny, plan_of(tiny, name, METHODS[name], **entries))
    expected, states = in_process(loopback)
    served = serve(loopback)
    check_same(served.result, expected)
    check_states(loopback, states, 4)
    start = loopback.plan.create(tiny).tensors()
    assert any(not torch.equal(served.result.tensors[key], start[key]) for key in start)
    assert len({row["images"] for row in expected.rows}) > 1
    if name == "fedmvp":
        assert {row["phase"] for row in expected.rows} == {"promptformer", "lora"}
    if name in ("fedotp", "pfedmoap"):
        assert all(site.kept.before(c, 4).personal for c, site in loopback.sites.items())


class Killing(CheckpointFolder):
    """A server that ends once it holds the checkpoint after two rounds."""

    def save(self, checkpoint: Checkpoint) -> None:
        super().save(checkpoint)
        if checkpoint.rounds_done == 2:
            raise Killed


@pytest.mark.parametrize("name", NAMES)
def test_a_killed_server_and_restarted_sites_end_in_the_same_bytes(
    tiny: Backbone, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after round 2's checkpoint, and again with round 3 trained at the sites alone."""
    plan = plan_of(tiny, name, METHODS[name], client_state="persistent")
    loopback = Loopback(tmp_path, tiny, plan)
    expected, states = in_process(loopback)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr("fedmvp.federation.site_training.CheckpointFolder", Killing)
        serve(loopback)

    def stop() -> None:
        if loopback.exchanges == 3:
            raise Killed

    with pytest.raises(Killed):
        serve(loopback, stop=stop)
    assert loopback.exchanges == 3
    loopback.sites = {client: loopback.open(client) for client in plan.clients}
    served = serve(loopback)
    assert loopback.exchanges == 5  # round 3 again, and round 4
    check_same(served.result, expected)
    check_states(loopback, states, 4)


def test_an_update_that_was_lost_leaves_no_trace(tiny: Backbone, tmp_path: Path) -> None:
    """A site trained and its reply was lost: it goes on from before, as a client that failed."""
    entries = {"client_state": "persistent", "on_client_failure": "skip"}
    plan = plan_of(tiny, "fedmvp", METHODS["fedmvp"], **entries)
    lossy = Loopback(tmp_path / "lossy", tiny, plan, absent=lambda c, n: c == "beta" and n == 1)
    found = serve(lossy).result
    failed = [(f["client"], f["round_index"], f["error"]) for f in found.failures]
    assert failed == [("beta", 1, "site beta is away")]
    # The same, but beta's images cannot be read in round 1.
    broken = Loopback(tmp_path / "broken", tiny, plan)
    site = broken.sites["beta"]
    train = site.backend.train

    def failing(client: str, state: Any, tensors: Any, round_index: int, *rest: Any) -> Any:
        if round_index == 1:
            raise OSError("disk on fire")
        return train(client, state, tensors, round_index, *rest)

    site.backend.train = failing  # type: ignore[method-assign]
    expected = serve(broken).result
    assert found.rows == expected.rows
    assert save(found.tensors) == save(expected.tensors)
    assert expected.failures[0]["error"] == "OSError: see the site's own log"
    # And what one process gives in which nothing fails is another thing.
    assert found.rows != in_process(broken)[0].rows


@pytest.mark.parametrize(
    "entries",
    [
        {"aggregation": "fedadam"},
        {"aggregation": "fedprox", "proximal_weight": 1.0},
        {"aggregation": "median"},
        {"aggregation": "multi_krum", "byzantine": 0, "krum_keep": 2},
        {"clip_norm": 0.01},
        {"client_optimizer": "adam", "client_state": "persistent"},
    ],
)
def test_every_rule_works(tiny: Backbone, tmp_path: Path, entries: dict[str, Any]) -> None:
    loopback = Loopback(tmp_path, tiny, plan_of(tiny, "promptfl", rounds=2, **entries))
    check_same(serve(loopback).result, in_process(loopback)[0])
