"""Evaluation counts what is right among the target's own classes, fold by fold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedmvp.clip.backbone import Backbone
from fedmvp.errors import DataError
from fedmvp.evaluation.explain import explain
from fedmvp.evaluation.images import EvaluationImages
from fedmvp.evaluation.protocol import _one_behind, evaluate
from fedmvp.methods.base import Method, MethodParams
from fedmvp.methods.classes import ClassSet
from fedmvp.methods.zero_shot import ZeroShot
from fedmvp.partition.model import Client, Partition, Target
from fedmvp.results.predictions import TargetPredictions
from fedmvp.results.targets import TARGET_COLUMNS
from tests.toys import NAMES, ToyBanks, fedmvp, toy_bank, toy_images

pytestmark = pytest.mark.usefixtures("words")


class Images:
    """Image "k-i" is the i-th image of class k; its first pixel holds k."""

    def __init__(self, backbone: Backbone) -> None:
        self.backbone = backbone

    def __call__(
        self, dataset: str, ids: Sequence[str], classes: Sequence[str]
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        labels = [int(name.split("-")[0]) for name in ids]
        images = toy_images(self.backbone, labels)
        images[:, 0, 0, 0] = labels
        return images, np.array([list(classes).index(NAMES[label]) for label in labels])

    def key(self, dataset: str, ids: Sequence[str]) -> str:
        return f"{dataset} {list(ids)}"


class Oracle(Method):
    """Knows a class from the pixel that holds its number, but takes class 1 for class 0."""

    trained = False
    fold = ""

    def logits(self, images: Tensor, classes: ClassSet) -> Tensor:
        spec = self.backbone.spec
        pixel = (images[:, 0, 0, 0] * spec.std[0] + spec.mean[0]) * 255
        truth = pixel.round().long()
        if self.fold == "second":
            truth = truth.where(truth != 1, torch.zeros_like(truth))
        place = {NAMES.index(name): i for i, name in enumerate(classes.names)}
        scores = torch.zeros(len(images), len(classes))
        for row, label in zip(scores, truth.tolist(), strict=True):
            if label in place:
                row[place[label]] = 1
        return scores


def test_a_batch_is_read_while_the_next_is_under_way() -> None:
    """One, not more: what a GPU has not done yet keeps its images in memory."""
    made = []

    def guesses() -> Iterator[Tensor]:
        for number in range(4):
            made.append(number)
            yield torch.tensor([number])

    order = [(int(predicted), len(made)) for predicted in _one_behind(guesses())]
    assert order == [(0, 2), (1, 3), (2, 4), (3, 4)]


def target(fold: str, group: str, name: str, labels: Sequence[int], images: str) -> Target:
    return Target(
        name, fold, group, "toys", None, tuple(NAMES[k] for k in labels), tuple(images.split())
    )


@pytest.fixture
def partition() -> Partition:
    clients = tuple(
        Client(f"{fold}_c", fold, "toys", None, NAMES[:2], (f"0-{i}",))
        for i, fold in enumerate(("first", "second"))
    )
    targets = (
        target("first", "local", "first_c", [0, 1], "0-5 0-6 1-5 1-6"),
        target("first", "base", "toys", [1, 0, 2], "2-1 1-5"),
        target("second", "new", "toys", [0, 1, 2], "0-1 1-2 1-3 1-4 2-5"),
    )
    return Partition("toy", "base_to_new", "by_image", clients, targets)


@pytest.mark.parametrize("batch_size", [1, 2, 100])
def test_accuracies_by_hand(tiny: Backbone, partition: Partition, batch_size: int) -> None:
    """The oracle is right in the first fold; in the second it misses the three of class 1: 2/5."""
    oracle = Oracle(tiny, MethodParams(), 1)
    loaded: list[str] = []
    told: list[tuple[int, int]] = []
    predicted: list[TargetPredictions] = []

    def load_fold(fold: str) -> None:
        loaded.append(fold)
        oracle.fold = fold

    rows = evaluate(
        partition,
        oracle,
        load_fold,
        ToyBanks(tiny, {"toys": toy_bank(tiny)}),
        Images(tiny),
        batch_size=batch_size,
        record=predicted.append,
        progress=lambda *done: told.append(done),
    )
    assert loaded == ["first", "second"]
    assert [row["accuracy"] for row in rows] == [1.0, 1.0, 0.4]
    assert tuple(rows[0]) == TARGET_COLUMNS
    assert rows[2] == {
        "fold": "second",
        "group": "new",
        "name": "toys",
        "dataset": "toys",
        "domain": "",
        "classes": 3,
        "images": 5,
        "accuracy": 0.4,
    }
    assert told == [(1, 3), (2, 3), (3, 3)]
    # Classes of the last target are 0, 1, 2; of the second, 1, 0, 2.
    assert [part.target for part in predicted] == list(partition.targets)
    assert [part.labels.tolist() for part in predicted] == [[0, 0, 1, 1], [2, 0], [0, 1, 1, 1, 2]]
    assert [part.predicted.tolist() for part in predicted] == [
        [0, 0, 1, 1],
        [2, 0],
        [0, 0, 0, 0, 2],
    ]


def test_the_number_of_candidates_is_the_targets(tiny: Backbone, partition: Partition) -> None:
    """The same image is classified among the classes of each target."""
    seen: list[int] = []

    class Counting(Oracle):
        def logits(self, images: Tensor, classes: ClassSet) -> Tensor:
            seen.append(len(classes))
            return super().logits(images, classes)

    method = Counting(tiny, MethodParams(), 1)
    evaluate(
        partition,
        method,
        lambda fold: None,
        ToyBanks(tiny, {"toys": toy_bank(tiny)}),
        Images(tiny),
        batch_size=100,
    )
    assert seen == [2, 3, 3]


def test_scores_that_are_not_finite_are_an_error(tiny: Backbone, partition: Partition) -> None:
    class Broken(Oracle):
        def logits(self, images: Tensor, classes: ClassSet) -> Tensor:
            return super().logits(images, classes) / 0

    with pytest.raises(DataError, match="not finite"):
        evaluate(
            partition,
            Broken(tiny, MethodParams(), 1),
            lambda fold: None,
            ToyBanks(tiny, {"toys": toy_bank(tiny)}),
            Images(tiny),
            batch_size=9,
        )


def test_cached_features_give_the_computed_accuracies(
    tiny: Backbone, partition: Partition, cache: Any
) -> None:
    """Frozen features of test images are kept on disk; a second pass reads them."""
    banks = ToyBanks(tiny, {"toys": toy_bank(tiny)})
    method = ZeroShot(tiny, MethodParams(), 1)
    parts = (partition, method, lambda fold: None, banks, Images(tiny))
    first = evaluate(*parts, batch_size=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(tiny.vision), "forward", None)
        assert evaluate(*parts, batch_size=2) == first
    direct = []
    for part in partition.targets:
        classes = banks.select("toys", None, part.classes)
        images, labels = Images(tiny)("toys", part.images, part.classes)
        right = method.logits(tiny.normalise(images), classes).argmax(dim=1).numpy() == labels
        direct.append(float(right.mean()))
    assert [row["accuracy"] for row in first] == direct


def test_evaluation_uses_the_servers_view(tiny: Backbone, partition: Partition) -> None:
    method = fedmvp(tiny, variant="official-code")
    method.enter("lora")
    evaluate(
        partition,
        method,
        lambda fold: None,
        ToyBanks(tiny, {"toys": toy_bank(tiny)}),
        Images(tiny),
        batch_size=9,
    )
    assert method.promptformer.use_lora is False


def test_explanations(tiny: Backbone, partition: Partition) -> None:
    """The texts with the strongest single patch, of images that are neither local nor source."""
    banks = ToyBanks(tiny, {"toys": toy_bank(tiny)})
    found = explain(partition, fedmvp(tiny), lambda fold: None, banks, Images(tiny), images=5)
    ids = [entry["id"] for entry in found.images]
    assert ids[0] == "2-1"
    assert len(set(ids)) == len(ids) <= 2  # the first fold's base target has two images
    assert list(found.prompts) == ids
    entry = found.images[0]
    assert entry["grid"] == [4, 4]
    assert (entry["dataset"], entry["class"]) == ("toys", "snow owl")
    assert len(entry["attributes"]) == 3
    assert all(len(a["weights"]) == 16 for a in entry["attributes"])
    peaks = [max(a["weights"]) for a in entry["attributes"]]
    assert peaks == sorted(peaks, reverse=True)
    classes = banks.select("toys", None, partition.targets[1].classes)
    shown = EvaluationImages(partition.targets, Images(tiny), tiny, 1)(partition.targets[1])
    weights = fedmvp(tiny).explain(tiny.normalise(shown.pixels[shown.rows[:1]]), classes)[0]
    assert peaks[0] == pytest.approx(float(weights.max()), rel=1e-3)
    assert found.prompts["2-1"].shape == (4, 64)


def test_methods_without_attention_explain_nothing(tiny: Backbone, partition: Partition) -> None:
    banks = ToyBanks(tiny, {"toys": toy_bank(tiny)})
    method = ZeroShot(tiny, MethodParams(), 1)
    found = explain(partition, method, lambda fold: None, banks, Images(tiny), images=2)
    assert (found.images, found.prompts) == ([], {})
