from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fedmvp.data.manifest import Manifest
from fedmvp.errors import ConfigError, DataError
from fedmvp.partition.build import build_partition
from fedmvp.partition.model import Client, Partition, Target, check
from fedmvp.partition.partition_files import load_partition, save_partition
from fedmvp.partition.setting_spec import Setting, load_setting

from .conftest import MakeManifest

DOMAINS = ("twemoji", "noto", "fluent-emoji-high-contrast")


def _build(setting: Setting, *manifests: Manifest, **changes: int) -> Partition:
    options = {"classes_per_client": 20, "shots": 8, "seed": 1, **changes}
    return build_partition("own", setting, {m.dataset: m for m in manifests}, **options)


def _emoji(make: MakeManifest, name: str, **changes: int) -> Partition:
    datasets = {"animals": 157, "food": 130, "objects": 262, "travel": 218, "activities": 84}
    used = ("animals", "food") if name in ("msst", "ssmt") else tuple(datasets)
    made = [make(d, datasets[d], DOMAINS, images=1) for d in used]
    return _build(load_setting("emoji", name), *made, **changes)


def test_base_to_new(make_manifest: MakeManifest) -> None:
    partition = _emoji(make_manifest, "base_to_new")
    assert Counter(client.dataset for client in partition.clients) == {
        "animals": 4,
        "food": 3,
        "objects": 7,
        "travel": 5,
        "activities": 2,
    }
    assert [len(c.classes) for c in partition.clients if c.dataset == "food"] == [20, 20, 25]
    groups = Counter(target.group for target in partition.targets)
    assert groups == {"local": 21, "base": 5, "new": 5}
    by_key = {(t.group, t.name): t for t in partition.targets}
    base, new = by_key["base", "animals"], by_key["new", "animals"]
    assert (len(base.classes), len(new.classes)) == (79, 78)
    assert not set(base.classes) & set(new.classes)
    for client in partition.clients:
        local = by_key["local", client.id]
        assert local.classes == client.classes
        assert set(local.images) <= set(by_key["base", client.dataset].images)
    assert (partition.train_split, partition.test_split) == ("train", "test")
    assert partition.folds == ("main",)


def test_shots_are_drawn_per_class(make_manifest: MakeManifest) -> None:
    manifest = make_manifest("food", 10, images=20)
    partition = _build(load_setting("emoji", "base_to_new"), manifest, shots=3)
    (client,) = partition.clients
    counts = Counter(manifest.image(image).label for image in client.train)
    assert counts == dict.fromkeys(range(5), 3)
    assert {manifest.image(image).split for image in client.train} == {"train"}
    again = _build(load_setting("emoji", "base_to_new"), manifest, shots=3)
    other = _build(load_setting("emoji", "base_to_new"), manifest, shots=3, seed=2)
    assert again == partition != other


def test_cross_dataset(make_manifest: MakeManifest) -> None:
    partition = _emoji(make_manifest, "cross_dataset")
    assert {client.dataset for client in partition.clients} == {"objects"}
    assert len(partition.clients) == 13
    assert [(t.name, t.group) for t in partition.targets] == [
        ("animals", "target"),
        ("food", "target"),
        ("travel", "target"),
        ("activities", "target"),
        ("objects", "source"),
    ]


def test_msst(make_manifest: MakeManifest) -> None:
    partition = _emoji(make_manifest, "msst")
    assert partition.folds == ("fluent-emoji-high-contrast",)
    assert (partition.train_split, partition.test_split) == ("all", "all")
    for fold in partition.folds:
        clients, targets = partition.clients_of(fold), partition.targets_of(fold)
        assert {c.domain for c in clients} == set(DOMAINS) - {fold}
        assert len(clients) == 2 * 3
        assert [(t.name, t.dataset, t.domain) for t in targets] == [(fold, "food", fold)]
        # Every image of a domain trains or is tested: the image splits play no part.
        assert sum(len(c.train) for c in clients) == 2 * 130
        assert [len(t.images) for t in targets] == [130]


def test_ssmt(make_manifest: MakeManifest) -> None:
    partition = _emoji(make_manifest, "ssmt")
    assert {client.domain for client in partition.clients} == {"twemoji"}
    assert {t.name for t in partition.targets} == {
        "twemoji-to-noto",
        "twemoji-to-fluent-emoji-high-contrast",
    }
    assert len({client.id for client in partition.clients}) == len(partition.clients) == 7


def test_a_client_knows_only_classes_it_has_images_of(make_manifest: MakeManifest) -> None:
    gone = frozenset({(0, "noto"), (3, "noto")})
    manifest = make_manifest("food", 6, ("noto", "oil"), images=2, missing=gone)
    setting = Setting.model_validate(
        {
            "title": "One style",
            "protocol": "transfer",
            "split": "by_domain",
            "clients": "per_domain",
            "single_source": {"datasets": ["food"], "sources": ["noto"]},
        }
    )
    partition = _build(setting, manifest)
    (client,) = partition.clients
    assert client.classes == tuple(manifest.classes[i] for i in (1, 2, 4, 5))
    assert partition.targets[0].classes == manifest.classes
    with pytest.raises(DataError, match=r"client is empty; got 'noto\.food-noto-000'"):
        none = frozenset((label, "noto") for label in range(3))
        _build(
            setting, make_manifest("food", 6, ("noto", "oil"), missing=none), classes_per_client=3
        )


def test_an_image_is_never_both_trained_and_tested(make_manifest: MakeManifest) -> None:
    """A by_domain setting that tests on a domain it trains on is refused."""
    setting = Setting.model_validate(
        {
            "title": "Leaky",
            "protocol": "transfer",
            "split": "by_domain",
            "folds": [{"train": {"domains": ["noto"]}, "targets": [{"group": "target"}]}],
        }
    )
    with pytest.raises(DataError, match="trained on and tested in one fold"):
        _build(setting, make_manifest("food", 4, ("noto", "oil")))


def test_unknown_domain_of_a_fold(make_manifest: MakeManifest) -> None:
    setting = Setting.model_validate(
        {
            "title": "Own",
            "protocol": "transfer",
            "folds": [{"train": {"domains": ["ink"]}, "targets": [{"group": "target"}]}],
        }
    )
    with pytest.raises(ConfigError, match="no such domain; got 'ink'; hint: known: noto, oil"):
        _build(setting, make_manifest("food", 4, ("noto", "oil")))


def test_round_trip_and_contract(make_manifest: MakeManifest, tmp_path: Path) -> None:
    partition = _emoji(make_manifest, "base_to_new")
    path = tmp_path / "own.json"
    save_partition(partition, path)
    assert load_partition(path) == partition
    value = json.loads(path.read_text())
    assert list(value) == ["setting", "protocol", "split", "official", "clients", "targets"]
    assert list(value["clients"][0]) == ["id", "fold", "dataset", "domain", "classes", "train"]
    assert list(value["targets"][0]) == [
        "name",
        "fold",
        "group",
        "dataset",
        "domain",
        "classes",
        "images",
    ]
    del value["targets"][0]["group"]
    path.write_text(json.dumps(value))
    with pytest.raises(DataError, match=r"own\.json: not a partition"):
        load_partition(path)


CLIENT = Client("a", "main", "food", None, ("x", "y"), ("1", "2"))
TARGET = Target("food", "main", "target", "food", None, ("x", "y"), ("3",))
WHOLE = Partition("own", "transfer", "by_image", (CLIENT,), (TARGET,))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"clients": ()}, "no clients"),
        ({"targets": ()}, "no clients or no targets"),
        ({"protocol": "magic"}, "protocol or split is unknown"),
        ({"clients": (CLIENT, CLIENT)}, "client id is used twice"),
        ({"clients": (CLIENT, replace(CLIENT, id="b", train=("4",)))}, "share a class"),
        ({"clients": (CLIENT, replace(CLIENT, id="b", classes=("z",)))}, "share an image"),
        ({"clients": (replace(CLIENT, train=()),)}, "client is empty"),
        ({"clients": (replace(CLIENT, classes=()),)}, "client is empty"),
        ({"clients": (replace(CLIENT, classes=("x", "x")),)}, "class is listed twice"),
        ({"clients": (replace(CLIENT, train=("1", "1")),)}, "image is listed twice"),
        ({"targets": (TARGET, TARGET)}, "target is listed twice"),
        ({"targets": (replace(TARGET, images=()),)}, "target is empty"),
        ({"targets": (replace(TARGET, images=("2",)),)}, "trained on and tested"),
        ({"targets": (replace(TARGET, group="base"),)}, "group is unknown"),
        ({"targets": (replace(TARGET, fold="other"),)}, "fold has no client"),
        ({"official": ("other",)}, "official fold has no client"),
    ],
)
def test_guarantees(changes: dict[str, Any], message: str) -> None:
    check(WHOLE, "here")
    with pytest.raises(DataError, match=message):
        check(replace(WHOLE, **changes), "here")
