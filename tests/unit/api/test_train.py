"""``fedmvp.train`` and ``fedmvp.evaluate``: the pipeline's own functions, images in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import fedmvp
from fedmvp.clip.backbone import Backbone
from fedmvp.errors import FedMVPError
from fedmvp.federation.rounds import RoundReport
from fedmvp.federation.training import train as train_partition
from fedmvp.methods.build import build_method, method_params
from fedmvp.partition.model import Client, Partition
from fedmvp.results.running import running
from tests.toys import NAMES, ToyBanks, attributes_of, federation, toy_bank, toy_images

FEDERATION = {"rounds": 2, "participation": 1.0, "batch_size": 4}
CLASSES = NAMES[:4]


def pairs(tower: Backbone, names: tuple[str, ...], seed: int = 0) -> list[tuple[Any, str]]:
    """Return three images of each class with their labels."""
    labels = [name for name in names for _ in range(3)]
    images = toy_images(tower, [NAMES.index(name) for name in labels], seed)
    return list(zip(images, labels, strict=True))


@pytest.fixture
def clients(tower: Backbone) -> dict[str, list[tuple[Any, str]]]:
    return {"a": pairs(tower, CLASSES[:2]), "b": pairs(tower, CLASSES[2:])}


def train(clients: Any, **more: Any) -> fedmvp.Training:
    settings = {"backbone": "tiny", "federation": FEDERATION, "attributes": attributes_of(CLASSES)}
    return fedmvp.train(clients, **{**settings, **more})


def test_it_is_the_pipelines_training(tower: Backbone, clients: Any) -> None:
    """Against a partition, banks and a loader made apart from the API."""
    found = train(clients, attributes=attributes_of(sorted(CLASSES)), params={"switch_loss": None})
    section = method_params("fedmvp", found.model.bundle.section)

    class Loader:
        def __call__(self, dataset: str, ids: Any, classes: Any) -> tuple[Any, Any]:
            owner = ids[0][0]
            images, labels = zip(*clients[owner], strict=True)
            return np.stack(images), np.array([list(classes).index(label) for label in labels])

        def key(self, dataset: str, ids: Any) -> str:
            return f"another key of {ids[0]}"

    dealt = tuple(
        Client(
            name,
            "main",
            "toys",
            None,
            tuple(sorted({label for _, label in own})),
            tuple(f"{name} {i}" for i in range(len(own))),
        )
        for name, own in clients.items()
    )
    expected = train_partition(
        Partition("x", "transfer", "by_image", dealt, ()),
        lambda: build_method("fedmvp", found.model.method.backbone, section, 1),
        ToyBanks(tower, {"toys": toy_bank(found.model.method.backbone, names=sorted(CLASSES))}),
        Loader(),
        federation(**FEDERATION, learning_rate=0.003, client_optimizer="adam", weight_decay=1e-5),
        seed=1,
    )
    for name, tensor in found.model.method.tensors().items():
        torch.testing.assert_close(tensor, expected.tensors[f"main/{name}"], rtol=0, atol=0)
    assert [row.loss for row in found.rounds] == [row["loss"] for row in expected.rows]
    assert [(row.round, row.client) for row in found.rounds] == [
        (0, "a"),
        (0, "b"),
        (1, "a"),
        (1, "b"),
    ]


def test_what_was_trained_classifies_is_saved_and_evaluated(tower: Backbone, clients: Any) -> None:
    found = train(clients)
    tests = {"a": pairs(tower, CLASSES[:2], 1), "both": pairs(tower, CLASSES, 2)}
    scores = fedmvp.evaluate(found.model, tests)
    answers = found.model.classify([image for image, _ in tests["both"]], classes=sorted(CLASSES))
    right = [name == label for name, (_, label) in zip(answers.names, tests["both"], strict=True)]
    assert scores.accuracy["both"] == np.mean(right)
    assert scores.mean == np.mean(list(scores.accuracy.values()))
    assert len(scores.predictions[1].predicted) == 12
    found.save("saved")
    again = fedmvp.load("saved")
    image = tests["a"][0][0]
    np.testing.assert_array_equal(again.classify(image).logits, found.model.classify(image).logits)
    assert fedmvp.evaluate(again, tests).accuracy == scores.accuracy


def test_without_attributes_names_take_their_place(clients: Any) -> None:
    found = train(clients, attributes=None)
    section = found.model.bundle.section
    assert (section["attr_bank"], section["classifier"]) == ("names", "template")
    assert found.model.classify(clients["a"][0][0]).classes == tuple(sorted(CLASSES))


def test_other_methods_and_the_order_of_classes(clients: Any) -> None:
    found = train(clients, method="fedvpt", classes=list(CLASSES), attributes=None)
    assert found.model.bundle.method == "fedvpt"
    assert found.model.classify(clients["a"][0][0]).classes == CLASSES
    assert {row.learning_rate for row in found.rounds} != {0.003}


def test_the_callers_entries_overrule_the_methods_own(clients: Any) -> None:
    found = train(clients, federation={**FEDERATION, "learning_rate": 0.01, "schedule": "constant"})
    assert {row.learning_rate for row in found.rounds} == {0.01}


def test_checkpoints_are_gone_on_from_and_belong_to_one_training(clients: Any) -> None:
    told: list[RoundReport] = []
    first = train(clients, checkpoints="kept", progress=told.append)
    assert len(told) == 4
    (watched,) = running(Path("kept"))
    assert (watched.title, watched.rounds) == ("fedmvp seed 1", 2)
    assert [log.done for log in watched.folds.values()] == [2]
    again = train(clients, checkpoints="kept", progress=told.append)
    assert len(told) == 4  # every round was finished
    assert again.rounds == first.rounds
    train(clients, checkpoints="kept", seed=2, progress=told.append)
    assert len(told) == 8


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], r"clients: not a mapping of lists"),
        ({}, r"not a mapping of lists, or an empty one"),
        ({"a": []}, r"clients: a: no image"),
        ({"a": [("image0.png",)]}, r"clients: a: entry 0 is not a pair"),
        ({"a": [("image0.png", 3)]}, r"entry 0 is not a pair"),
        ({"a": "image0.png"}, r"not a list of pairs"),
        ({"a": [("absent.png", "kite")]}, r"clients: a: absent.png: no such image"),
        ({"a@b": [("image0.png", "kite")]}, r"not a plain name"),
        ({"a": [(["image0.png", "image1.png"], "kite")]}, r"several images with one label"),
    ],
)
def test_clients_that_are_none_are_one_line(tower: Backbone, given: Any, message: str) -> None:
    with pytest.raises(FedMVPError, match=message):
        train(given)
    assert not Path("kept").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"method": "fedmpv"}, r"unknown method.*fedmvp"),
        ({"params": {"prompts": 3}}, r"methods.fedmvp"),
        ({"federation": {"rounds": 0}}, r"rounds"),
        ({"classes": ["kite"]}, r"not one of the candidate classes.*'red_fox'"),
        ({"template": "a photo"}, r"template: does not contain {} once"),
        ({"attributes": {"kite": ["long"]}}, r"no attributes"),
        ({"device": "warp"}, r"device: unknown device warp"),
    ],
)
def test_words_that_do_not_fit(clients: Any, words: Any, message: str) -> None:
    with pytest.raises(FedMVPError, match=message):
        train(clients, **words)


def test_targets_that_do_not_fit(clients: Any) -> None:
    model = train(clients).model
    with pytest.raises(FedMVPError, match=r"not one of the candidate classes.*'red_fox'"):
        fedmvp.evaluate(model, clients, classes=["kite"])
    with pytest.raises(FedMVPError, match=r"targets: not a mapping"):
        fedmvp.evaluate(model, [])  # type: ignore[arg-type]
