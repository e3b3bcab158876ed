"""FedOTP's personal contexts: trained, kept, saved, and used for their own client's target only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from fedmvp.clip.backbone import Backbone
from fedmvp.evaluation.protocol import evaluate
from fedmvp.federation.client import load_tensors
from fedmvp.federation.training import TrainingResult, train
from fedmvp.methods.base import Method
from fedmvp.methods.fedotp import FedOTP
from fedmvp.partition.model import Client, Partition, Target
from fedmvp.results.weights import fold_tensors, personal_tensors
from tests.toys import NAMES, ToyBanks, ToyLoader, federation, toy_bank
from tests.unit.baselines.test_reference import create

pytestmark = pytest.mark.usefixtures("words")


def partition() -> Partition:
    groups = {"toys-000": NAMES[:2], "toys-001": NAMES[2:4]}
    images = {name: tuple(f"{c} {i}" for c in groups[name] for i in (0, 1)) for name in groups}
    clients = tuple(
        Client(name, "main", "toys", None, classes, images[name])
        for name, classes in groups.items()
    )
    local = tuple(
        Target(name, "main", "local", "toys", None, classes, tuple(f"{c} 7" for c in classes))
        for name, classes in groups.items()
    )
    base = Target(
        "toys", "main", "base", "toys", None, NAMES[:4], tuple(f"{c} 8" for c in NAMES[:4])
    )
    new = Target(
        "toys", "main", "new", "toys", None, NAMES[4:6], tuple(f"{c} 9" for c in NAMES[4:6])
    )
    return Partition("toy", "base_to_new", "by_image", clients, (*local, base, new))


def trained(backbone: Backbone, scratch: Path | None = None, **section: Any) -> TrainingResult:
    banks: Any = ToyBanks(backbone, {"toys": toy_bank(backbone)})
    return train(
        partition(),
        lambda: create("fedotp", backbone),
        banks,
        ToyLoader(backbone),
        federation(**section),
        seed=1,
        scratch=scratch,
    )


def test_personal_contexts_are_saved_per_client(tiny: Backbone) -> None:
    tensors = trained(tiny).tensors
    assert sorted(tensors) == [
        "main/global_context",
        "main/local_context",
        "main/local_context@toys-000",
        "main/local_context@toys-001",
    ]
    own = personal_tensors(tensors, "main", "toys-000")
    assert list(own) == ["local_context"]
    assert torch.equal(own["local_context"], tensors["main/local_context@toys-000"])
    # Each started at the same context and moved its own way; the server's never moved.
    assert not torch.equal(own["local_context"], tensors["main/local_context@toys-001"])
    start = create("fedotp", tiny).tensors()["local_context"]
    assert torch.equal(tensors["main/local_context"], start)
    assert personal_tensors(tensors, "main", "toys-00") == {}


def test_a_client_alone_keeps_the_same_context(tiny: Backbone) -> None:
    """The shared workspace leaks nothing from one client to the next within a round."""
    one = trained(tiny, rounds=1).tensors
    whole = partition()
    banks: Any = ToyBanks(tiny, {"toys": toy_bank(tiny)})
    second = Partition("toy", "base_to_new", "by_image", whole.clients[1:], whole.targets)
    alone = train(
        second, lambda: create("fedotp", tiny), banks, ToyLoader(tiny), federation(rounds=1), seed=1
    ).tensors
    assert torch.equal(one["main/local_context@toys-001"], alone["main/local_context@toys-001"])


def test_local_targets_are_classified_with_the_clients_own_context(
    tiny: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = trained(tiny)
    method = create("fedotp", tiny)
    seen: list[tuple[bool, float]] = []
    logits = FedOTP.logits

    def recorded(self: FedOTP, *parts: Any) -> torch.Tensor:
        seen.append((self.global_only, float(self.local_context.detach().sum())))
        return logits(self, *parts)

    monkeypatch.setattr(FedOTP, "logits", recorded)
    rows = run(method, result, tiny)
    own = [float(result.tensors[f"main/local_context@toys-00{i}"].sum()) for i in (0, 1)]
    assert seen[:2] == [(False, own[0]), (False, own[1])]
    assert [only for only, _ in seen[2:]] == [True, True]  # base and new: the shared one alone
    assert [row["group"] for row in rows] == ["local", "local", "base", "new"]


def run(method: Method, result: TrainingResult, backbone: Backbone) -> list[dict[str, Any]]:
    banks: Any = ToyBanks(backbone, {"toys": toy_bank(backbone)})

    def load_fold(fold: str) -> None:
        load_tensors(method, fold_tensors(method, result.tensors, fold))

    def load_personal(fold: str, client: str) -> None:
        load_fold(fold)
        load_tensors(method, personal_tensors(result.tensors, fold, client))

    return evaluate(
        partition(),
        method,
        load_fold,
        banks,
        ToyLoader(backbone),
        batch_size=8,
        load_personal=load_personal,
    )


def test_personal_contexts_survive_an_interruption(tiny: Backbone, tmp_path: Path) -> None:
    """Three rounds at once equal three rounds resumed from the checkpoint of the second."""
    from fedmvp.errors import ClientFailure
    from fedmvp.federation import rounds, schedule

    whole = trained(tiny, rounds=3).tensors
    count = 0
    real = schedule.learning_rate

    def failing(*parts: Any) -> float:
        nonlocal count
        count += 1
        if count == 3:
            raise ClientFailure("stopped", where="test", hint="go on")
        return real(*parts)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rounds, "learning_rate", failing)
        with pytest.raises(ClientFailure):
            trained(tiny, tmp_path, rounds=3)
    resumed = trained(tiny, tmp_path, rounds=3).tensors
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
