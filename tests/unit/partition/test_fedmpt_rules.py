"""FedMPT's rules, each by itself: published numbers stand beside a run of all of them only."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.cluster import KMeans

from fedmvp.errors import DataError, FedMVPError
from fedmvp.partition.annotations import read_annotations
from fedmvp.partition.build import build_partition
from fedmvp.partition.model import Partition, check
from fedmvp.partition.partition_files import load_partition, save_partition
from fedmvp.partition.schemes import Pool
from fedmvp.partition.schemes.fedmpt_clusters import FedmptClusters, softmax_rows
from fedmvp.partition.setting_spec import Setting
from tests.multi_toys import SEEN, UNSEEN, multi_manifest
from tests.toys import NAMES

MANIFEST = multi_manifest()
TRAIN = [image for image in MANIFEST.images if image.split == "train"]
TEST = [image for image in MANIFEST.images if image.split == "test"]


def build(
    train: dict[str, Any] | None = None, outputs: str = "own", zsl: bool = True, **rules: Any
) -> Partition:
    targets = [
        {"group": "global", "classes": "seen"},
        {"group": "zsl", "classes": "unseen", "outputs": outputs, "name": "zsl"},
    ]
    setting = Setting.model_validate(
        {
            "title": "Toys",
            "protocol": "multilabel",
            "scheme": {"name": "iid", "clients": 2},
            "folds": [
                {
                    "train": train or {"classes": "seen"},
                    "targets": targets if zsl else targets[:1],
                }
            ],
            **rules,
        }
    )
    return build_partition(
        "toys", setting, {"toys": MANIFEST}, classes_per_client=1, shots=None, seed=1
    )


def images_of(partition: Partition) -> list[str]:
    return sorted(i for c in partition.clients for i in (*c.train, *c.validation))


def target(partition: Partition, group: str = "global") -> Any:
    return next(t for t in partition.targets if t.group == group)


def test_clusters_are_those_of_scikit_learns_defaults() -> None:
    labels = np.random.default_rng(0).random((60, 7)) < 0.3
    pool = Pool(np.zeros(60, int), np.zeros(60, int), 8, train_labels=labels, test_labels=labels)
    shares = FedmptClusters(clients=3).deal(pool, np.random.default_rng(5))
    vectors = np.exp(labels.astype(float))
    vectors /= vectors.sum(axis=1, keepdims=True)
    expected = KMeans(n_clusters=3, random_state=42).fit_predict(vectors)
    for number, share in enumerate(shares):
        assert share.train.tolist() == np.flatnonzero(expected == number).tolist()
        assert share.test is not None and share.test.tolist() == share.train.tolist()
    assert softmax_rows(np.array([[1, 0, 0]]))[0, 0] == pytest.approx(np.e / (np.e + 2))


def test_fewer_kinds_of_images_than_clusters() -> None:
    labels = np.eye(2, dtype=bool)[[0, 1, 0, 1]]
    pool = Pool(
        np.zeros(4, int),
        np.zeros(0, int),
        3,
        train_labels=labels,
        test_labels=np.zeros((0, 2), dtype=bool),
    )
    with pytest.raises(FedMVPError, match="2 different sets of classes, too few for 3 clusters"):
        FedmptClusters(clients=3).deal(pool, np.random.default_rng(0))


def test_images_with_few_labels_are_left_out_of_both_parts() -> None:
    partition = build(min_labels=2)
    assert images_of(partition) == sorted(i.id for i in TRAIN if len(i.labels) >= 2)
    assert set(target(partition).images) == {i.id for i in TEST if len(i.labels) >= 2}
    with pytest.raises(DataError, match=r"no training image is left.*min_labels 9"):
        build(min_labels=9)


def test_positives_missing_in_the_test_as_well(tmp_path: Path) -> None:
    partition = build(annotations={"missing": 0.5, "test": True})
    whole = target(partition)
    said = read_annotations(whole.annotations)
    truth = MANIFEST.label_matrix(whole.images, whole.classes)
    assert (said <= truth).all() and 0 < said.sum() < truth.sum()
    assert not target(build(annotations={"missing": 0.5})).annotations
    save_partition(partition, tmp_path / "p.json")
    assert load_partition(tmp_path / "p.json") == partition


def test_a_test_cut_to_the_length_of_training(monkeypatch: pytest.MonkeyPatch) -> None:
    few = replace(MANIFEST, images=tuple(i for i in MANIFEST.images if i in (*TRAIN[:12], *TEST)))
    monkeypatch.setitem(globals(), "MANIFEST", few)
    partition = build(test="cut")
    assert len(images_of(partition)) == 12 < len(TEST)
    assert list(target(partition).images) == [i.id for i in TEST[:12]]


def test_testing_on_training_images(tmp_path: Path) -> None:
    partition = build(test="train", zsl=False)
    assert sorted(target(partition).images) == images_of(partition)
    assert partition.test_split == "all"
    save_partition(partition, tmp_path / "p.json")
    assert load_partition(tmp_path / "p.json").tests_training
    with pytest.raises(DataError, match="trained on and tested in one fold"):
        check(replace(partition, tests_training=False), "here")


def test_unseen_classes_as_negatives_and_all_outputs() -> None:
    with pytest.raises(
        FedMVPError, match="trains on a class that the catalog entry lists as unseen"
    ):
        build(train={"classes": "all"})
    partition = build(train={"classes": "all", "unseen": "negatives"}, outputs="all")
    assert all(client.classes == NAMES for client in partition.clients)
    zsl = target(partition, "zsl")
    assert zsl.classes == NAMES and zsl.classes != UNSEEN
    unseen = {NAMES.index(name) for name in UNSEEN}
    assert set(zsl.images) == {i.id for i in TEST if unseen & set(i.labels)}
    assert target(partition).classes == SEEN


@pytest.mark.parametrize(
    "rule", [{"min_labels": 2}, {"test": "cut"}, {"annotations": {"known": 0.5}}]
)
def test_other_protocols_refuse_them(rule: dict[str, Any]) -> None:
    value = {
        "title": "T",
        "protocol": "transfer",
        "folds": [{"train": {}, "targets": [{"group": "target"}]}],
    }
    Setting.model_validate(value)
    with pytest.raises(ValueError, match="need protocol: multilabel"):
        Setting.model_validate({**value, **rule})


def test_a_stray_sign_of_a_targets_annotations() -> None:
    partition = build(annotations={"missing": 0.5, "test": True})
    whole = target(partition)
    wrong = replace(whole, annotations=("x" * len(whole.classes), *whole.annotations[1:]))
    others = tuple(t for t in partition.targets if t != whole)
    with pytest.raises(DataError, match="annotation of target toys does not consist of 0, 1"):
        check(replace(partition, targets=(wrong, *others)), "here")
