"""Test images: one table per dataset, whatever the targets share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fedmvp.clip.backbone import Backbone
from fedmvp.errors import DataError
from fedmvp.evaluation.images import EvaluationImages
from fedmvp.partition.model import Target
from tests.toys import NAMES, toy_images


class Images:
    """Image "k-i" is the i-th image of class k; its first pixel holds k and i."""

    def __init__(self, backbone: Backbone) -> None:
        self.backbone = backbone
        self.asked: list[tuple[str, ...]] = []

    def __call__(
        self, dataset: str, ids: Sequence[str], classes: Sequence[str]
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        self.asked.append(tuple(ids))
        labels = [int(name.split("-")[0]) for name in ids]
        images = toy_images(self.backbone, labels)
        images[:, 0, 0, 0] = labels
        images[:, 0, 0, 1] = [int(name.split("-")[1]) for name in ids]
        return images, np.array([list(classes).index(NAMES[label]) for label in labels])

    def key(self, dataset: str, ids: Sequence[str]) -> str:
        return f"{dataset} {list(ids)}"


def target(labels: Sequence[int], images: str, dataset: str = "toys") -> Target:
    names = tuple(NAMES[k] for k in labels)
    return Target("t", "all", "base", dataset, None, names, tuple(images.split()))


def test_overlapping_targets_share_one_table(tiny: Backbone) -> None:
    images = Images(tiny)
    targets = [target([1, 0], "1-2 0-5"), target([0, 1, 2], "2-1 0-5 1-3")]
    tests = EvaluationImages(targets, images, tiny, 2)
    found = [tests(t) for t in targets]
    assert images.asked == [("0-5", "1-2", "1-3", "2-1")]
    for t, chosen in zip(targets, found, strict=True):
        pixels = chosen.pixels[chosen.rows][:, 0, 0, :2]
        assert [f"{k}-{i}" for k, i in pixels] == list(t.images)
        assert [t.classes[i] for i in chosen.labels] == [NAMES[k] for k in pixels[:, 0]]
    assert [len(rows) for rows in found[1].batches(2)] == [2, 1]


def test_datasets_are_apart(tiny: Backbone) -> None:
    images = Images(tiny)
    tests = EvaluationImages([target([0], "0-1"), target([0], "0-2", "more")], images, tiny, 2)
    assert [tests(t).rows.tolist() for t in tests.targets] == [[0], [0]]
    assert images.asked == [("0-1",), ("0-2",)]


def test_an_image_of_another_class_is_refused(tiny: Backbone) -> None:
    wrong = target([0, 1], "0-1 2-1 1-1")
    tests = EvaluationImages([wrong, target([2], "2-2")], Images(tiny), tiny, 2)
    with pytest.raises(DataError, match=f"toys.*'{NAMES[2]}'.*older than the manifest"):
        tests(wrong)


def test_features_are_those_of_the_rows(tiny: Backbone) -> None:
    chosen = target([0, 1], "1-1 0-1 1-2")
    tests = EvaluationImages([chosen], Images(tiny), tiny, 2)
    rows = tests(chosen).rows
    direct = tiny.frozen_features([tiny.normalise(tests(chosen).pixels[rows])])
    torch.testing.assert_close(tests.features("toys")[torch.from_numpy(rows)], direct)


def test_settings_with_the_same_images_share_their_features(tiny: Backbone, cache: Any) -> None:
    """In whatever order and number of targets they are tested."""
    one = EvaluationImages([target([0, 1], "1-1 0-1 1-2")], Images(tiny), tiny, 2)
    other = EvaluationImages([target([1], "1-2"), target([0, 1], "0-1 1-1")], Images(tiny), tiny, 2)
    first = one.features("toys")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(tiny.vision), "forward", None)
        assert torch.equal(other.features("toys"), first)
