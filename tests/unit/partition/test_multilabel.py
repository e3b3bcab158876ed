"""Partitions of images that show many classes: who owns what, what is held out, what is known."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedmvp.data.image import Image
from fedmvp.data.manifest import Manifest
from fedmvp.errors import DataError, FedMVPError
from fedmvp.partition.annotations import annotate, read_annotations
from fedmvp.partition.build import build_partition
from fedmvp.partition.model import Partition, check
from fedmvp.partition.multilabel import validation_places
from fedmvp.partition.partition_files import load_partition, save_partition
from fedmvp.partition.schemes import Pool
from fedmvp.partition.schemes.label_clusters import LabelClusters, weighted_rows
from fedmvp.partition.setting_spec import Setting
from fedmvp.partition_config import AnnotationParams
from tests.multi_toys import SEEN, UNSEEN, multi_manifest
from tests.toys import NAMES

SETTING = Setting.model_validate(
    {
        "title": "Scenes",
        "protocol": "multilabel",
        "folds": [
            {
                "train": {"classes": "seen"},
                "targets": [
                    {"group": "global", "classes": "seen"},
                    {"group": "local", "each": "client"},
                    {"group": "zsl", "classes": "unseen", "name": "zsl"},
                    {"group": "gzsl", "name": "gzsl"},
                ],
            }
        ],
    }
)
CLUSTERS = {"name": "label_clusters", "clients": 3, "min_images": 2}


def build(manifest: Manifest | None = None, **options: Any) -> Partition:
    given = {"classes_per_client": 1, "shots": None, "seed": 1, "scheme": CLUSTERS, **options}
    found = manifest or multi_manifest()
    return build_partition("scenes", SETTING, {found.dataset: found}, **given)


SCHEMES = [
    CLUSTERS,
    {"name": "iid", "clients": 4},
    {"name": "dirichlet", "clients": 3, "alpha": 0.5, "min_images": 3},
    "one_client",
]


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
def test_every_training_image_has_one_owner(scheme: Any) -> None:
    manifest, partition = multi_manifest(), build(scheme=scheme)
    owned = [i for c in partition.clients for i in (*c.train, *c.validation)]
    assert sorted(owned) == [i.id for i in manifest.images if i.split == "train"]
    local = [i for t in partition.targets if t.group == "local" for i in t.images]
    assert sorted(local) == [i.id for i in manifest.images if i.split == "test"]
    assert all(client.classes == SEEN for client in partition.clients)
    assert partition.task == "multi" and partition.shared_classes
    assert build(scheme=scheme) == partition


def test_targets_are_chosen_by_what_images_show() -> None:
    manifest = multi_manifest(more=[Image("toys/x", "x", (), "default", "test")])
    found = {t.group: t for t in build(manifest).targets if t.group != "local"}
    tested = [i for i in manifest.images if i.split == "test"]
    unseen = {NAMES.index(name) for name in UNSEEN}
    assert found["global"].classes == SEEN and len(found["global"].images) == len(tested)
    assert found["zsl"].classes == UNSEEN
    assert set(found["zsl"].images) == {i.id for i in tested if unseen & set(i.labels)}
    assert found["gzsl"].classes == NAMES
    assert set(found["gzsl"].images) == {i.id for i in tested if i.labels}


def test_a_file_gives_the_same_partition(tmp_path: Path) -> None:
    partition = build(annotations=AnnotationParams(known=0.5))
    save_partition(partition, tmp_path / "p.json")
    assert load_partition(tmp_path / "p.json") == partition


def test_clusters_ignore_how_many_labels_and_the_frequent_one() -> None:
    """Two themes, one class everywhere: the themes are found, whatever the number of labels."""
    labels = np.zeros((40, 7), dtype=bool)
    labels[:, 6] = True
    draw = np.random.default_rng(0)
    for number in range(40):
        theme = 3 * (number % 2)
        labels[number, theme + draw.permutation(3)[: 1 + number % 3]] = True
    pool = Pool(np.zeros(40, int), np.zeros(40, int), 8, train_labels=labels, test_labels=labels)
    dealt = LabelClusters(clients=2, min_images=2).deal(pool, np.random.default_rng(1))
    themes = [set((share.train % 2).tolist()) for share in dealt]
    assert sorted(map(sorted, themes)) == [[0], [1]]
    assert all(np.array_equal(share.train, share.test) for share in dealt if share.test is not None)


def test_rows_have_length_one_or_nothing() -> None:
    rows = weighted_rows(np.array([[True, True], [False, False]]), np.array([3.0, 4.0]))
    assert rows.tolist() == [[0.6, 0.8], [0.0, 0.0]]


def test_small_clusters_are_merged() -> None:
    labels = np.repeat(np.eye(3, dtype=bool), [20, 20, 1], axis=0)
    pool = Pool(
        np.zeros(41, int),
        np.zeros(0, int),
        4,
        train_labels=labels,
        test_labels=np.zeros((0, 3), dtype=bool),
    )
    dealt = LabelClusters(clients=3, min_images=5).deal(pool, np.random.default_rng(1))
    assert sorted(len(share.train) for share in dealt) == [20, 21]


def test_validation_is_stratified() -> None:
    groups = np.repeat([0, 1, 2], [100, 50, 10])
    held = validation_places(groups, 0.1, np.random.default_rng(1))
    counts = Counter(groups[list(held)].tolist())
    assert len(held) == 16
    assert all(abs(counts[k] - 0.1 * n) <= 1 for k, n in ((0, 100), (1, 50), (2, 10)))
    assert validation_places(groups[:1], 0.9, np.random.default_rng(1)) == frozenset()
    assert not any(client.validation for client in build(validation=0.0).clients)
    validated = [len(client.validation) for client in build(validation=0.25).clients]
    assert min(validated) > 0


@pytest.mark.parametrize("scheme", ["one_client", CLUSTERS], ids=str)
def test_known_and_missing_are_different_things(scheme: Any) -> None:
    manifest = multi_manifest(train=400)
    for params, kind in (
        (AnnotationParams(known=0.3), "known"),
        (AnnotationParams(missing=0.4), "missing"),
    ):
        partition = build(manifest, annotations=params, scheme=scheme)
        said = np.concatenate([read_annotations(c.annotations) for c in partition.clients])
        ids = [i for c in partition.clients for i in (*c.train, *c.validation)]
        truth = manifest.label_matrix(ids, SEEN)
        if kind == "known":
            assert np.mean(said != -1) == pytest.approx(0.3, abs=0.03)
            assert np.array_equal(said[said != -1], truth[said != -1])
        else:
            assert np.array_equal(said[truth == 0], truth[truth == 0])
            assert np.mean(said[truth == 1] == 0) == pytest.approx(0.4, abs=0.06)


def test_what_is_hidden_does_not_depend_on_the_owner() -> None:
    manifest, params = multi_manifest(), AnnotationParams(known=0.5)
    some = [image.id for image in manifest.images[:6]]
    whole = annotate(manifest, some, NAMES, params, 1)
    turned = annotate(manifest, some[::-1], NAMES[2:4], params, 1)
    assert [text[2:4] for text in whole][::-1] == list(turned)
    assert annotate(manifest, some, NAMES, params, 2) != whole


def test_shots_are_a_quota_of_every_class() -> None:
    manifest = multi_manifest(train=300)
    partition = build(manifest, shots=5, scheme="one_client", validation=0.0)
    counts = manifest.label_matrix(partition.clients[0].train, SEEN).sum(axis=0)
    assert counts.min() >= 5
    assert len(partition.clients[0].train) < 5 * len(SEEN)


def _with(**changes: Any) -> Manifest:
    return replace(multi_manifest(), **changes)


STRANGER = Image("toys/train/zzz", "train/zzz", (0, 7), "default", "train")
BARE = Image("toys/train/zzz", "train/zzz", (), "default", "train")
BAD: dict[str, tuple[Any, dict[str, Any], str]] = {
    "an unseen class in training": (multi_manifest(more=[STRANGER]), {}, "shows an unseen class"),
    "an image without labels": (multi_manifest(more=[BARE]), {}, "show none of the classes"),
    "a class without positives": (
        multi_manifest(train=4),
        {"scheme": "one_client"},
        "no positive training image",
    ),
    "classes of one client each": (None, {"scheme": "class_blocks"}, "to one client"),
    "too many clusters": (None, {"scheme": {**CLUSTERS, "clients": 40}}, "40 clusters need"),
    "images of one class": (
        _with(
            task="single",
            unseen=(),
            images=tuple(
                replace(image, labels=image.labels[:1]) for image in multi_manifest().images
            ),
        ),
        {},
        "is for images that show many classes",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_clear_error(case: str) -> None:
    manifest, options, message = BAD[case]
    with pytest.raises(FedMVPError, match=message) as caught:
        build(manifest, **options)
    assert "\n" not in str(caught.value) and "hint" in str(caught.value)


def test_images_without_labels_can_be_spread() -> None:
    manifest = multi_manifest(more=[BARE])
    partition = build(manifest, scheme={**CLUSTERS, "unlabelled": "spread"})
    owned = [i for c in partition.clients for i in (*c.train, *c.validation)]
    assert BARE.id in owned


def test_a_setting_of_one_class_needs_its_own_scheme() -> None:
    pool = Pool(np.zeros(4, int), np.zeros(4, int), 2)
    with pytest.raises(FedMVPError, match="needs images of many labels"):
        LabelClusters(clients=2).deal(pool, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"annotations": ("11",)}, "not one annotation for each image"),
        (
            {"train": ("a",), "validation": ("b",), "annotations": ("1", "2")},
            "not consist of 0, 1 and",
        ),
        (
            {"validation": ("toys/train/000", "toys/test/000")},
            "share an image|trained on and tested",
        ),
    ],
)
def test_a_spoilt_partition_is_refused(changes: dict[str, Any], message: str) -> None:
    partition = build(scheme="one_client")
    first = replace(partition.clients[0], **changes)
    with pytest.raises(DataError, match=message):
        check(replace(partition, clients=(first,)), "here")
