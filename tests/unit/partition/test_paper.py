"""The paper's suite: the client tables of docs/method.md, from class counts alone."""

from __future__ import annotations

from collections import Counter

import pytest

from fedmvp.errors import ConfigError
from fedmvp.partition.build import build_partition
from fedmvp.partition.folds import datasets_of
from fedmvp.partition.model import Partition
from fedmvp.partition.setting_spec import Setting, load_setting, setting_names

from .conftest import MakeManifest

# Classes of each dataset.
CLASSES = {
    "caltech101": 100,
    "oxford_flowers": 102,
    "fgvc_aircraft": 100,
    "ucf101": 101,
    "oxford_pets": 37,
    "food101": 101,
    "dtd": 47,
    "stanford_cars": 196,
    "sun397": 397,
    "eurosat": 10,
    "imagenet": 1000,
    "imagenet_v2": 1000,
    "imagenet_sketch": 1000,
    "imagenet_a": 200,
    "imagenet_r": 200,
}
# Clients of each base-to-new dataset (docs/method.md#class-blocks).
CLIENTS = {
    "caltech101": [20, 30],
    "oxford_flowers": [20, 20, 11],
    "fgvc_aircraft": [20, 30],
    "ucf101": [20, 20, 11],
    "oxford_pets": [19],
    "food101": [20, 20, 11],
    "dtd": [24],
    "stanford_cars": [20] * 4 + [18],
    "sun397": [20] * 9 + [19],
}
# Classes, domains, the official held-out and source domain, clients per domain.
DOMAIN_SETS = {
    "pacs": (7, ("artpainting", "cartoon", "photo", "sketch"), "sketch", "artpainting", 1),
    "officehome": (65, ("art", "clipart", "product", "realworld"), "realworld", "art", 3),
    "vlcs": (5, ("caltech", "labelme", "pascal", "sun"), "sun", "caltech", 1),
    "terraincognita": (10, ("l38", "l43", "l46", "l100"), "l100", "l38", 1),
    "domainnet": (
        345,
        ("clipart", "infograph", "painting", "quickdraw", "real", "sketch"),
        "sketch",
        "clipart",
        17,
    ),
}
TEN = (*CLIENTS, "eurosat")
LISTED = (*CLASSES, *DOMAIN_SETS)


def partition(make: MakeManifest, name: str, per_client: int = 20) -> Partition:
    """Return a paper setting over manifests of the right sizes."""
    setting = load_setting("paper", name)
    manifests = {}
    for dataset in datasets_of(setting, LISTED):
        if dataset in DOMAIN_SETS:
            manifests[dataset] = make(dataset, *DOMAIN_SETS[dataset][:2], images=2)
        else:
            manifests[dataset] = make(dataset, CLASSES[dataset], images=2)
    return build_partition(name, setting, manifests, classes_per_client=per_client, shots=8, seed=1)


def test_the_suite() -> None:
    domain_settings = {f"{kind}_{name}" for kind in ("msst", "ssmt") for name in DOMAIN_SETS}
    assert set(setting_names("paper")) == {
        "base_to_new",
        "cross_dataset",
        "imagenet_variants",
        *domain_settings,
    }


def test_base_to_new_has_the_papers_thirty_clients(make_manifest: MakeManifest) -> None:
    made = partition(make_manifest, "base_to_new")
    clients = [(c.dataset, len(c.classes)) for c in made.clients]
    assert clients == [(name, size) for name, sizes in CLIENTS.items() for size in sizes]
    assert len(clients) == 30
    new = {t.dataset: len(t.classes) for t in made.targets if t.group == "new"}
    assert new == {name: CLASSES[name] // 2 for name in CLIENTS}


@pytest.mark.parametrize(
    ("setting", "per_client", "clients"),
    [
        ("base_to_new", 10, 59),
        ("base_to_new", 5, 119),
        ("cross_dataset", 20, 50),
        ("cross_dataset", 5, 200),
        ("imagenet_variants", 20, 50),
    ],
)
def test_client_counts(
    make_manifest: MakeManifest, setting: str, per_client: int, clients: int
) -> None:
    assert len(partition(make_manifest, setting, per_client).clients) == clients


def test_imagenet_is_reported_but_no_target(make_manifest: MakeManifest) -> None:
    for setting, expected in (
        ("cross_dataset", TEN),
        ("imagenet_variants", ("imagenet_v2", "imagenet_sketch", "imagenet_a", "imagenet_r")),
    ):
        targets = partition(make_manifest, setting).targets
        assert {t.name for t in targets if t.group == "target"} == set(expected)
        assert [t.name for t in targets if t.group == "source"] == ["imagenet"]
        assert {t.name: len(t.classes) for t in targets} == {
            t.name: CLASSES[t.name] for t in targets
        }


@pytest.mark.parametrize("name", DOMAIN_SETS)
def test_domain_settings(make_manifest: MakeManifest, name: str) -> None:
    _, domains, held_out, source, per_domain = DOMAIN_SETS[name]
    made = partition(make_manifest, f"msst_{name}")
    assert made.folds == domains
    assert made.official == (held_out,)
    for fold in domains:
        clients = Counter(client.domain for client in made.clients_of(fold))
        assert clients == {d: per_domain for d in domains if d != fold}
        assert [target.domain for target in made.targets_of(fold)] == [fold]
    single = partition(make_manifest, f"ssmt_{name}")
    assert single.folds == domains
    assert single.official == (source,)
    for fold in domains:
        assert {client.domain for client in single.clients_of(fold)} == {fold}
        assert {target.domain for target in single.targets_of(fold)} == set(domains) - {fold}
    # Images keep their split: a target's training images are never tested.
    assert (made.train_split, made.test_split) == ("train", "test")


def test_a_marked_fold_must_exist(make_manifest: MakeManifest) -> None:
    setting = Setting.model_validate(
        {
            "title": "Own",
            "protocol": "transfer",
            "leave_one_domain_out": {
                "datasets": ["pacs"],
                "held_out": ["photo"],
                "official": ["sketch"],
            },
        }
    )
    manifests = {"pacs": make_manifest("pacs", *DOMAIN_SETS["pacs"][:2], images=2)}
    with pytest.raises(ConfigError, match="official: setting names something unknown"):
        build_partition("own", setting, manifests, classes_per_client=20, shots=8, seed=1)
