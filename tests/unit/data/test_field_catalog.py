"""The datasets of the field's non-IID protocols: class order, superclasses, miniatures."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedmvp.catalog.spec import DatasetSpec, load_spec
from fedmvp.config import parse_section
from fedmvp.data.build import build_manifest
from fedmvp.data.manifest_files import load_manifest, save_manifest
from fedmvp.errors import ConfigError
from tests.miniatures import FIELD, build_dataset

ORDER = {
    "cifar10": "airplane automobile bird cat deer dog frog horse ship truck",
    "office_caltech10": "backpack bike calculator headphones keyboard laptop_computer monitor "
    "mouse mug projector",
    "domainnet10": "bird feather headphones ice_cream teapot tiger whale windmill wine_glass zebra",
}
IMAGES = {"cifar10": 60_000, "cifar100": 60_000, "office_caltech10": 2_533, "domainnet10": 22_851}


def in_label_order(spec: DatasetSpec) -> bool:
    """Tell whether labels follow the sorted folders, as the sources' numbers do."""
    folders = [entry.folder for entry in spec.classes]
    return folders == sorted(folders)


@pytest.mark.parametrize("name", FIELD)
def test_class_order(name: str) -> None:
    """Labels are numbers in the sources: a permuted list would name every class wrongly."""
    spec = load_spec(name)
    assert in_label_order(spec)
    assert " ".join(spec.class_names) == ORDER.get(name, " ".join(sorted(spec.class_names)))
    classes = spec.classes
    permuted = spec.model_copy(update={"classes": (classes[1], classes[0], *classes[2:])})
    assert not in_label_order(permuted)


@pytest.mark.parametrize("name", FIELD)
def test_counts_add_up(name: str) -> None:
    counts = load_spec(name).counts
    assert counts.images == IMAGES[name]
    parts = [n for n in (counts.train, counts.test) if n] or list(counts.domains.values())
    assert sum(parts) == counts.images


def test_superclasses_of_cifar100() -> None:
    spec = load_spec("cifar100")
    assert len(spec.groups) == 20 and {len(names) for names in spec.groups.values()} == {5}
    group_of = dict(zip(spec.class_names, spec.class_groups, strict=True))
    assert group_of["beaver"] == group_of["whale"] == "aquatic mammals"
    assert group_of["lawn_mower"] == "vehicles 2"
    assert load_spec("cifar10").class_groups == ()
    value = {**spec.model_dump(), "groups": {**spec.groups, "fish": ("ray",)}}
    with pytest.raises(ConfigError, match="groups must contain every class once"):
        parse_section(DatasetSpec, value, "cifar100")


@pytest.mark.parametrize("name", FIELD)
def test_miniature(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEDMVP_DATA", str(tmp_path))
    build_dataset(name, tmp_path)
    spec = load_spec(name)
    manifest = build_manifest(spec, 1)
    assert manifest.classes == spec.class_names and manifest.domains == spec.domain_names
    folder_of = {label: entry.folder for label, entry in enumerate(spec.classes)}
    assert all(f"/{folder_of[image.label]}/" in image.id for image in manifest.images)
    shown = {(image.label, image.split) for image in manifest.images}
    assert {label for label, _ in shown} == set(folder_of)
    assert {split for _, split in shown} == {"train", "test"}
    assert manifest.groups == spec.class_groups
    save_manifest(manifest, tmp_path / "manifest.json")
    assert load_manifest(tmp_path / "manifest.json") == manifest
