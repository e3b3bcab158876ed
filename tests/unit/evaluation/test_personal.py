"""One matrix of models and images, and the numbers read off it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import pytest
import torch

from fedmvp.catalog.spec import SentenceSpec
from fedmvp.clip.backbone import Backbone
from fedmvp.data.manifest import Image, Manifest, SplitOrigin
from fedmvp.evaluation.personal import (
    GLOBAL_MODEL,
    Models,
    Score,
    accuracy_matrix,
    fairness,
    personal_numbers,
)
from fedmvp.evaluation.protocol import evaluate
from fedmvp.federation.client import load_tensors
from fedmvp.federation.client_images import client_data
from fedmvp.federation.fine_tuning import fine_tune
from fedmvp.federation.schedule import cohort, never_selected
from fedmvp.partition.model import Partition
from fedmvp.results.weights import fold_tensors, personal_tensors
from tests.toys import NAMES, ToyBanks, ToyLoader, federation, fedmvp, toy_bank, toy_client
from tests.unit.baselines.test_personal import partition, trained
from tests.unit.baselines.test_reference import create

pytestmark = pytest.mark.usefixtures("words")


def score(model: str, target: str, correct: int, images: int, kind: str = "client") -> Score:
    return Score("main", "toys", model, kind, target, 2, images, correct)


def test_means_over_clients() -> None:
    """Two clients, 10 of 10 and 0 of 90: one half, or one tenth by images."""
    scores = [
        score("a", "a", 10, 10),
        score("b", "b", 0, 90),
        score(GLOBAL_MODEL, "a", 5, 10),
        score(GLOBAL_MODEL, "b", 45, 90),
    ]
    plain, weighted = personal_numbers(scores, "unweighted"), personal_numbers(scores, "weighted")
    assert plain["numbers"] == {"global": 0.5, "personal": 0.5}
    assert weighted["numbers"] == {"global": 0.5, "personal": 0.1}
    assert plain["fairness"]["personal"]["std"] == 0.5 and plain["fairness"]["global"]["std"] == 0


def test_numbers_are_told_apart() -> None:
    scores = [
        *(
            score(m, t, c, 10)
            for m, t, c in [
                ("a", "a", 9),
                ("a", "b", 1),
                ("a", "c", 3),
                ("b", "a", 4),
                ("b", "b", 8),
                ("b", "c", 2),
                ("c", "a", 0),
                ("c", "b", 0),
                ("c", "c", 7),
                (GLOBAL_MODEL, "a", 6),
                (GLOBAL_MODEL, "b", 6),
                (GLOBAL_MODEL, "c", 6),
            ]
        ),
        *(score(m, "toys", c, 10, "base") for m, c in [("a", 5), ("b", 6), ("c", 1)]),
        score(GLOBAL_MODEL, "toys", 10, 10, "base"),
        *(score(m, "toys", 2, 10, "new") for m in "abc"),
    ]
    numbers = personal_numbers(scores, "unweighted")["numbers"]
    assert numbers == pytest.approx(
        {
            "global": 0.6,
            "personal": 0.8,
            "neighbour": (0.2 + 0.3 + 0) / 3,
            "personal_base": 0.4,
            "personal_new": 0.2,
        }
    )
    assert personal_numbers([s for s in scores if s.kind != "client"], "unweighted") == {}


def test_fairness() -> None:
    ten = [i / 10 for i in range(1, 11)]
    found = fairness(ten)
    assert found["std"] == pytest.approx(0.28722813)  # ddof 0
    assert (found["worst"], found["best"]) == (0.1, 1.0)
    assert (found["minimum"], found["maximum"]) == (0.1, 1.0)
    assert fairness(ten, tenths=2)["worst"] == pytest.approx(0.15)
    assert fairness([0.0] + [1.0] * 14)["worst"] == 0.5  # 15 clients: two of them
    assert fairness([*ten, *ten, *ten])["worst"] == pytest.approx(0.1)  # 30 clients: three
    assert fairness([0.5]) == dict.fromkeys(("worst", "best", "minimum", "maximum"), 0.5) | {
        "std": 0.0
    }


def test_clients_no_round_selects() -> None:
    clients = [f"c{i}" for i in range(10)]
    missing = never_selected(clients, 0.2, 1, 3)
    chosen = {name for index in range(3) for name in cohort(clients, 0.2, 1, index)}
    assert 4 <= len(missing) < 10 and set(missing) == set(clients) - chosen
    assert never_selected(clients, 1.0, 1, 1) == []


def manifest(whole: Partition) -> Manifest:
    """Return the toy images as a manifest says them."""
    ids = {i for c in whole.clients for i in c.train} | {i for t in whole.targets for i in t.images}
    images = [Image(i, i, (NAMES.index(i.rsplit(" ", 1)[0]),), "default", "train") for i in ids]
    return Manifest(
        "toys",
        "Toys",
        "a {}.",
        SentenceSpec(prefix="a"),
        SplitOrigin("generated", ""),
        False,
        NAMES,
        ("default",),
        tuple(sorted(images, key=lambda i: (i.label, i.id))),
        "0",
    )


def matrix(
    backbone: Backbone,
    method: Any,
    models: Models,
    whole: Partition,
    candidates: Literal["own", "all"] = "own",
) -> dict[tuple[str, str, str], Score]:
    banks: Any = ToyBanks(backbone, {"toys": toy_bank(backbone)})
    found = accuracy_matrix(
        whole,
        {"toys": manifest(whole)},
        method,
        models,
        banks,
        ToyLoader(backbone),
        candidates=candidates,
        batch_size=3,
    )
    return {(s.model, s.kind, s.target): s for s in found}


def test_matrix_of_a_personal_method(tiny: Backbone) -> None:
    whole, tensors = partition(), trained(tiny).tensors
    method = create("fedotp", tiny)

    def load_global(fold: str) -> None:
        load_tensors(method, fold_tensors(method, tensors, fold))

    def load_client(fold: str, client: str) -> None:
        load_tensors(method, personal_tensors(tensors, fold, client))
        method.enter(method.first_phase)

    found = matrix(tiny, method, Models(load_global, load_client), whole)
    names = ("toys-000", "toys-001")
    assert set(found) == {
        (model, kind, target)
        for model in (*names, GLOBAL_MODEL)
        for kind, target in (*(("client", n) for n in names), ("base", "toys"), ("new", "toys"))
    }
    banks: Any = ToyBanks(tiny, {"toys": toy_bank(tiny)})
    rows = evaluate(
        whole, method, load_global, banks, ToyLoader(tiny), batch_size=3, load_personal=load_client
    )
    for row in rows:  # the diagonal and the global row are what evaluation says of them
        own = row["group"] == "local"
        key = (row["name"], "client", row["name"]) if own else (GLOBAL_MODEL, row["group"], "toys")
        assert found[key].accuracy == row["accuracy"]
    assert [found[n, "client", n].classes for n in names] == [2, 2]
    every = matrix(tiny, method, Models(load_global, load_client), whole, "all")
    assert [every[n, "client", n].classes for n in names] == [4, 4]
    assert {every[n, "base", "toys"].classes for n in names} == {4}


def test_clients_without_a_model_or_without_test_images(tiny: Backbone) -> None:
    whole = partition()
    whole = replace(whole, targets=whole.targets[1:])  # the first client has no test images
    asked: list[str] = []
    method = create("promptfl", tiny)
    found = matrix(tiny, method, Models(asked.append, None), whole)
    assert asked == ["main"]
    assert {target for _, kind, target in found if kind == "client"} == {"toys-001"}
    for kind, target in (("client", "toys-001"), ("base", "toys"), ("new", "toys")):
        marks = {found[m, kind, target].correct for m in (GLOBAL_MODEL, "toys-000", "toys-001")}
        assert len(marks) == 1
    record = found["toys-001", "client", "toys-001"].record()
    assert record["accuracy"] == record["correct"] / record["images"]


def changed(before: dict[str, torch.Tensor], method: Any) -> Sequence[str]:
    now = method.tensors()
    return sorted(name for name in before if not torch.equal(before[name], now[name]))


@pytest.mark.parametrize("name", ["promptfl", "fedotp"])
def test_fine_tuning_trains_on_alone(name: str, tiny: Backbone) -> None:
    whole, method = partition(), create(name, tiny)
    banks: Any = ToyBanks(tiny, {"toys": toy_bank(tiny)})
    data = client_data(whole.clients[0], banks, ToyLoader(tiny))
    start = {key: tensor.detach().clone() for key, tensor in method.tensors().items()}
    ends = []
    for epochs, aggregation in ((1, "fedavg"), (2, "fedavg"), (2, "fedprox")):
        settings = federation(aggregation=aggregation, client_state="persistent")
        fine_tune(method, "toys-000", data, start, {}, settings, epochs=epochs, seed=1)
        assert changed(start, method) == sorted(start)
        ends.append({key: tensor.detach().clone() for key, tensor in method.tensors().items()})
    key = next(iter(start))
    assert not torch.equal(ends[0][key], ends[1][key])
    assert torch.equal(ends[1][key], ends[2][key])  # nothing pulls to the global model


@pytest.mark.parametrize("lora_eval", [True, False])
def test_fine_tuned_fedmvp_computes_as_it_is_evaluated(lora_eval: bool, tiny: Backbone) -> None:
    method = fedmvp(tiny, lora_eval=lora_eval, switch_loss=100.0)
    start = {key: tensor.detach().clone() for key, tensor in method.tensors().items()}
    data = toy_client(toy_bank(tiny), NAMES[:3])
    fine_tune(method, "c", data, start, {}, federation(), epochs=2, seed=1)
    moved = changed(start, method)
    assert any(".lora." in name for name in moved) == lora_eval
    assert {name for name in start if ".lora." not in name} <= set(moved)
    assert method.promptformer.use_lora is lora_eval
    method.enter(None)
    assert method.promptformer.use_lora is lora_eval
