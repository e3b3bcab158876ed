"""Training over folds, from a partition to named tensors and rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fedmvp.clip.backbone import Backbone
from fedmvp.errors import CheckpointError, ConfigError
from fedmvp.federation.client import load_tensors
from fedmvp.federation.rounds import RoundReport
from fedmvp.federation.training import train
from fedmvp.partition.model import Client, Partition, Target
from fedmvp.results.rounds import ROUND_COLUMNS
from fedmvp.results.weights import fold_tensors
from tests.toys import NAMES, ToyBanks, federation, fedmvp, toy_bank, toy_images

pytestmark = pytest.mark.usefixtures("words")


class Images:
    """Image "k-i" is the i-th of class k; remembers what was asked for."""

    def __init__(self, backbone: Backbone) -> None:
        self.backbone = backbone
        self.asked: list[str] = []

    def __call__(
        self, dataset: str, ids: Sequence[str], classes: Sequence[str]
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        self.asked += ids
        labels = [int(name.split("-")[0]) for name in ids]
        places = [list(classes).index(NAMES[label]) for label in labels]
        return toy_images(self.backbone, labels), np.array(places)

    def key(self, dataset: str, ids: Sequence[str]) -> str:
        return f"{dataset} {list(ids)}"


PARTITION = Partition(
    "toy",
    "transfer",
    "by_image",
    tuple(
        Client(
            f"{fold}_{number}",
            fold,
            "toys",
            None,
            (NAMES[first], NAMES[first + 1]),
            (f"{first}-0", f"{first + 1}-{number}"),
        )
        for fold, first in (("one", 0), ("two", 4))
        for number in (0, 1)
        for first in (first + 2 * number,)
    ),
    tuple(
        Target("t", fold, "target", "toys", None, NAMES[:2], ("0-9", "1-9"))
        for fold in ("one", "two")
    ),
)


def run(
    tiny: Backbone,
    images: Images,
    scratch: Path | None = None,
    told: list[str] | None = None,
    **section: Any,
):
    banks = ToyBanks(tiny, {"toys": toy_bank(tiny)})

    def progress(fold: str, report: RoundReport) -> None:
        (told if told is not None else []).append(f"{fold} {report.round_index} {report.client}")

    return train(
        PARTITION,
        lambda: fedmvp(tiny),
        banks,
        images,
        federation(**section),
        seed=1,
        scratch=scratch,
        progress=progress,
    )


@pytest.mark.parametrize("rule", ["median", "trimmed_mean", "krum", "multi_krum"])
def test_a_rule_that_protects_nobody_is_refused_before_training(tiny: Backbone, rule: str) -> None:
    """Two clients a fold: one wrong one is half of them."""
    images = Images(tiny)
    with pytest.raises(ConfigError, match=r"1 wrong of 2 clients a round \(fold one, 2 clients\)"):
        run(tiny, images, aggregation=rule)
    assert not images.asked
    rows = run(tiny, images, aggregation=rule, byzantine=0).rows
    assert {row["client"] for row in rows} == {client.id for client in PARTITION.clients}


def test_folds_are_separate_federations(tiny: Backbone, tmp_path: Path) -> None:
    images, told = Images(tiny), []
    result = run(tiny, images, tmp_path, told)
    assert [(row["fold"], row["round"], row["client"]) for row in result.rows] == [
        (fold, index, f"{fold}_{number}")
        for fold in ("one", "two")
        for index in (0, 1)
        for number in (0, 1)
    ]
    assert set(result.rows[0]) == set(ROUND_COLUMNS)
    assert told[0] == "one 0 1"
    names = set(fedmvp(tiny).tensors())
    assert set(result.tensors) == {f"{fold}/{name}" for fold in ("one", "two") for name in names}
    assert not torch.equal(
        result.tensors["one/promptformer.bank.weight"],
        result.tensors["two/promptformer.bank.weight"],
    )
    # A second run reads the checkpoints and gives the same tensors.
    again = run(tiny, Images(tiny), tmp_path)
    assert all(torch.equal(again.tensors[name], t) for name, t in result.tensors.items())
    assert again.rows == result.rows


def test_no_test_image_is_read(tiny: Backbone) -> None:
    images = Images(tiny)
    run(tiny, images)
    train_ids = {image for client in PARTITION.clients for image in client.train}
    assert set(images.asked) == train_ids
    assert not train_ids & {image for target in PARTITION.targets for image in target.images}


def test_tensors_of_a_fold_go_back_into_the_method(tiny: Backbone) -> None:
    result = run(tiny, Images(tiny))
    method = fedmvp(tiny)
    load_tensors(method, fold_tensors(method, result.tensors, "two"))
    for name, tensor in method.tensors().items():
        assert torch.equal(tensor, result.tensors[f"two/{name}"])


def test_tensors_that_do_not_fit_are_named(tiny: Backbone) -> None:
    method = fedmvp(tiny)
    tensors = {f"one/{name}": tensor for name, tensor in method.tensors().items()}
    with pytest.raises(CheckpointError, match=r"missing.*'one/promptformer\."):
        fold_tensors(method, {}, "one")
    with pytest.raises(CheckpointError, match="'two/"):
        fold_tensors(method, tensors, "two")
    name = "one/promptformer.bank.weight"
    with pytest.raises(CheckpointError, match=rf"{name} has shape \(2,\), expected \(64, 40\)"):
        fold_tensors(method, {**tensors, name: torch.zeros(2)}, "one")
