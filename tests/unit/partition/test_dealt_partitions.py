"""Partitions whose scheme deals images: settings, targets, files, and what is refused."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from fedmvp.data.manifest import Manifest
from fedmvp.errors import ConfigError
from fedmvp.partition.build import build_partition
from fedmvp.partition.model import Partition
from fedmvp.partition.partition_files import load_partition, save_partition
from fedmvp.partition.setting_spec import Setting

from .conftest import MakeManifest

BASE_TO_NEW = {
    "title": "Own",
    "protocol": "base_to_new",
    "folds": [
        {
            "train": {"classes": "base"},
            "targets": [
                {"group": "local", "each": "client"},
                {"group": "base", "classes": "base"},
                {"group": "new", "classes": "new"},
            ],
        }
    ],
}
TRANSFER = {
    "title": "Own",
    "protocol": "transfer",
    "folds": [
        {"train": {}, "targets": [{"group": "local", "each": "client"}, {"group": "target"}]}
    ],
}
DIRICHLET: dict[str, Any] = {"name": "dirichlet", "alpha": 0.5, "clients": 4}
DOMAINS = ("art", "photo", "sketch")


def _build(setting: dict[str, Any], manifest: Manifest, **options: Any) -> Partition:
    given = {"classes_per_client": 5, "shots": 8, "seed": 1, **options}
    return build_partition(
        "own", Setting.model_validate(setting), {manifest.dataset: manifest}, **given
    )


def test_dirichlet_in_base_to_new(make_manifest: MakeManifest) -> None:
    manifest = make_manifest("food", 20, images=24)
    partition = _build(BASE_TO_NEW, manifest, scheme=DIRICHLET)
    assert [client.id for client in partition.clients] == [f"food-00{i}" for i in range(4)]
    images = [image for client in partition.clients for image in client.train]
    assert len(images) == len(set(images)) == 10 * 8  # the base half's shots, all dealt
    local = {target.name: target for target in partition.targets if target.group == "local"}
    dealt = [image for target in local.values() for image in target.images]
    (base,) = (target for target in partition.targets if target.group == "base")
    assert sorted(dealt) == sorted(base.images)  # each test image is one client's
    shared = Counter(name for client in partition.clients for name in client.classes)
    assert max(shared.values()) > 1
    for client in partition.clients:
        shown = {manifest.classes[manifest.image(i).label] for i in client.train}
        assert shown <= set(client.classes) and local[client.id].classes == client.classes


def test_candidates_are_own_or_all_classes(make_manifest: MakeManifest) -> None:
    manifest = make_manifest("food", 20, images=24)
    scheme = {"name": "few_shot_disjoint", "clients": 3}
    own = _build(BASE_TO_NEW, manifest, scheme=scheme)
    every = _build(BASE_TO_NEW, manifest, scheme=scheme, candidates="all")
    assert [len(client.classes) for client in own.clients] == [3, 3, 4]
    assert {client.classes for client in every.clients} == {manifest.classes[:10]}
    assert [client.train for client in own.clients] == [client.train for client in every.clients]
    # The images are the same; among how many classes they are told apart is not.
    local, among_all = (
        [(t.images, len(t.classes)) for t in made.targets if t.group == "local"]
        for made in (own, every)
    )
    assert [images for images, _ in local] == [images for images, _ in among_all]
    assert [count for _, count in among_all] == [10, 10, 10]


def test_a_setting_has_its_own_scheme(make_manifest: MakeManifest) -> None:
    manifest = make_manifest("food", 20, images=24)
    setting = {**TRANSFER, "scheme": {"name": "iid", "clients": 2}, "candidates": "all"}
    partition = _build(setting, manifest, scheme="nothing known", shots=None)
    assert [len(client.train) for client in partition.clients] == [120, 120]
    assert partition.scheme == "iid: clients 2"
    with pytest.raises(ConfigError, match="setting own: scheme: clients: key is missing"):
        _build({**TRANSFER, "scheme": "iid"}, manifest)


def test_domains(make_manifest: MakeManifest) -> None:
    manifest = make_manifest("food", 6, DOMAINS, images=20)
    partition = _build(TRANSFER, manifest, scheme="by_domain")
    assert [(c.id, c.domain) for c in partition.clients] == [
        (f"food-{domain}-000", domain) for domain in DOMAINS
    ]
    mixed = {"name": "domain_dirichlet", "clients": 2, "alpha": 0.3}
    partition = _build(TRANSFER, manifest, scheme=mixed)
    assert [c.domain for c in partition.clients] == [d for d in DOMAINS for _ in range(2)]
    for client in partition.clients:
        assert {manifest.image(image).domain for image in client.train} == {client.domain}
    with pytest.raises(ConfigError, match=r"needs a dataset with domains; got 'plain'; hint"):
        _build(TRANSFER, make_manifest("plain", 6), scheme="by_domain")


def test_superclasses(make_manifest: MakeManifest) -> None:
    from dataclasses import replace

    plain = make_manifest("food", 6, images=20)
    grouped = replace(plain, groups=("a", "b", "a", "b", "c", "c"))
    scheme = {"name": "pachinko", "alpha": 0.3, "clients": 3}
    partition = _build(TRANSFER, grouped, scheme=scheme)
    assert sum(len(client.train) for client in partition.clients) == 6 * 8
    with pytest.raises(ConfigError, match="needs a dataset with superclasses"):
        _build(TRANSFER, plain, scheme=scheme)


def test_clients_without_test_images_have_no_target(make_manifest: MakeManifest) -> None:
    manifest = make_manifest("food", 4, images=20)
    few = tuple(i for i in manifest.images if i.split == "train" or i.label == 0)
    from dataclasses import replace

    scheme = {"name": "shards", "clients": 4, "shards_per_client": 1}
    partition = _build(TRANSFER, replace(manifest, images=few), scheme=scheme)
    assert len(partition.clients) == 4
    assert [t.group for t in partition.targets].count("local") == 1


def test_file_keeps_scheme_and_class_blocks_stay_as_they_were(
    make_manifest: MakeManifest, tmp_path: Path
) -> None:
    manifest = make_manifest("food", 20, images=24)
    path = tmp_path / "own.json"
    partition = _build(BASE_TO_NEW, manifest, scheme=DIRICHLET)
    save_partition(partition, path)
    assert load_partition(path) == partition
    value = json.loads(path.read_text())
    assert value["scheme"].startswith("dirichlet: alpha 0.5, clients 4")
    assert value["shared_classes"] is True
    blocks = _build(BASE_TO_NEW, manifest)
    save_partition(blocks, path)
    assert not {"scheme", "shared_classes"} & set(json.loads(path.read_text()))


def test_training_seed_and_other_datasets_play_no_part(make_manifest: MakeManifest) -> None:
    first, second = make_manifest("food", 20, images=24), make_manifest("toys", 20, images=24)
    setting = Setting.model_validate(TRANSFER)
    options: dict[str, Any] = {"classes_per_client": 5, "shots": 8, "scheme": DIRICHLET}
    alone = build_partition("a", setting, {"food": first}, seed=1, **options)
    both = build_partition("b", setting, {"toys": second, "food": first}, seed=1, **options)
    food = [client for client in both.clients if client.dataset == "food"]
    assert tuple(food) == alone.clients
    other = build_partition("a", setting, {"food": first}, seed=2, **options)
    assert other.clients != alone.clients
