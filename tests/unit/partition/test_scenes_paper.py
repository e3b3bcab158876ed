"""The suites of real datasets of many labels, over miniatures in their true layouts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fedmvp.catalog.spec import load_spec
from fedmvp.data.build import build_manifest
from fedmvp.data.image import Image
from fedmvp.data.manifest import Manifest
from fedmvp.evaluation.sanity import check_inputs
from fedmvp.partition.build import build_partition
from fedmvp.partition.folds import datasets_of
from fedmvp.partition.model import Partition
from fedmvp.partition.setting_spec import load_setting, setting_names
from fedmvp.profiles import profile_params
from tests.miniatures import build_dataset

# Miniatures have an image or two of a class.
SMALL = {"name": "label_clusters", "clients": 2, "min_images": 1, "unlabelled": "spread"}
MASKS = [
    f"{name}_mask{p}" for name in ("voc2007", "coco2014", "nuswide") for p in (10, 30, 50, 70, 90)
]


@pytest.fixture(autouse=True)
def _data_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEDMVP_DATA", str(tmp_path))


def manifest(name: str, root: Path) -> Manifest:
    """Return a miniature, with an image more of each class whose only neighbours are unseen."""
    build_dataset(name, root)
    found = build_manifest(load_spec(name), split_seed=1)
    shown = {label for i in found.images if i.split == "train" for label in i.labels}
    more = [
        Image(f"{name}/more/{label}", f"more/{label}", (label,), found.domains[0], "train")
        for label, entry in enumerate(found.classes)
        if label not in shown and entry in found.seen
    ]
    images = sorted((*found.images, *more), key=lambda image: image.path)
    return replace(found, images=tuple(images))


def made(
    profile: str, name: str, root: Path, **update: object
) -> tuple[Partition, dict[str, Manifest]]:
    params = profile_params(profile)
    setting = load_setting(params.run.suite, name).model_copy(update=update)
    manifests = {d: manifest(d, root) for d in datasets_of(setting, params.data.datasets)}
    own = params.partition
    partition = build_partition(
        name,
        setting,
        manifests,
        classes_per_client=own.classes_per_client,
        shots=own.shots,
        seed=own.seed,
        scheme=own.scheme,
        validation=own.validation,
        annotations=own.annotations,
    )
    return partition, manifests


def test_the_profiles_span_their_suites() -> None:
    assert set(setting_names("scenes_paper")) == set(profile_params("scenes-paper").run.settings)
    assert set(setting_names("fedmpt")) == {*MASKS, "multiscene", "mlrsnet", "coco2014_48_17"}
    assert set(profile_params("fedmpt").run.settings) <= set(setting_names("fedmpt"))


@pytest.mark.parametrize("name", setting_names("scenes_paper"))
def test_scenes_paper(name: str, tmp_path: Path) -> None:
    """Every training image has an owner, the whole test is scored, a tenth stays for thresholds."""
    scheme = load_setting("scenes_paper", name).scheme
    assert isinstance(scheme, dict) and scheme["clients"] == 8
    partition, manifests = made("scenes-paper", name, tmp_path, scheme=SMALL)
    check_inputs(partition, manifests)
    (found,) = manifests.values()
    trained = [i for c in partition.clients for i in (*c.train, *c.validation)]
    assert sorted(trained) == sorted(i.id for i in found.images if i.split == "train")
    assert any(client.validation for client in partition.clients)
    (whole,) = (t for t in partition.targets if t.group == "global")
    assert sorted(whole.images) == sorted(i.id for i in found.images if i.split == "test")
    assert whole.classes == found.seen
    groups = {t.group for t in partition.targets}
    assert groups >= ({"zsl", "gzsl"} if found.unseen else {"global", "local"})


@pytest.mark.parametrize("name", ["voc2007_mask30", "multiscene", "coco2014_48_17"])
def test_fedmpt(name: str, tmp_path: Path) -> None:
    partition, manifests = made("fedmpt", name, tmp_path)
    check_inputs(partition, manifests)
    (found,) = manifests.values()
    assert not any(client.validation for client in partition.clients)
    targets = {t.group: t for t in partition.targets}
    if name == "coco2014_48_17":
        assert targets["zsl"].classes == found.classes == partition.clients[0].classes
    if name == "voc2007_mask30":
        said = "".join(text for client in partition.clients for text in client.annotations)
        positives = sum(len(i.labels) for i in found.images if i.split == "train")
        assert 0 < said.count("1") < positives and "?" not in said
        assert not targets["global"].annotations
