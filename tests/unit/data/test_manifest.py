from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fedmvp.catalog.spec import load_spec
from fedmvp.data.build import build_manifest
from fedmvp.data.manifest_files import load_manifest, save_manifest
from fedmvp.errors import DataError

from .conftest import png, zip_bytes


def test_activities() -> None:
    spec = load_spec("activities")
    manifest = build_manifest(spec, split_seed=1)
    assert len(manifest.images) == spec.counts.images
    assert len(manifest.by_id) == len(manifest.images)
    assert manifest.images[0].id == "activities/twemoji/1st-place-medal/1st-place-medal.png"
    assert [i.label for i in manifest.images] == sorted(i.label for i in manifest.images)
    for name, images in manifest.by_class().items():
        assert {image.path.split("/")[1] for image in images} == {
            next(c.folder for c in spec.classes if c.name == name)
        }
        assert 6 <= len(images) <= 8
        splits = Counter(image.split for image in images)
        assert splits["train"] == round(len(images) / 2) and splits["val"] == 0
    for domain in spec.domain_names:
        inside = [image for image in manifest.images if image.domain == domain]
        assert 0.42 <= sum(i.split == "train" for i in inside) / len(inside) <= 0.58


def test_the_same_bytes_every_time(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = load_spec("activities")
    save_manifest(build_manifest(spec, 1), machine / "a.json")
    monkeypatch.setenv("FEDMVP_DATA", str(machine / "elsewhere"))
    save_manifest(build_manifest(spec, 1), machine / "b.json")
    assert (machine / "a.json").read_bytes() == (machine / "b.json").read_bytes()
    assert str(machine) not in (machine / "a.json").read_text()
    loaded = load_manifest(machine / "a.json")
    assert loaded == build_manifest(spec, 1)
    other = build_manifest(spec, 2)
    assert [i.split for i in other.images] != [i.split for i in loaded.images]


def test_content_follows_the_images(toy: Any) -> None:
    toy()
    before = build_manifest(load_spec("toy"), 1)
    files = {
        f"{domain}/{folder}/1.png": png("blue", (9, 9))
        for domain in ("photo", "sketch")
        for folder in ("big-cat", "dog")
    }
    toy(zip_bytes(files))
    after = build_manifest(load_spec("toy"), 1)
    assert before.images == after.images
    assert before.content != after.content


def test_class_folders_without_domains(toy: Any) -> None:
    files = {f"x/{c}/{n}.jpg": png() for c in ("dog", "big-cat") for n in range(10)}
    toy(
        zip_bytes({**files, "x/README.txt": b"", "x/dog/.hidden.png": b"", "x/junk/1.png": b""}),
        layout={"reader": "class_folders", "folder": "x", "ignore": ["junk"]},
        domains=None,
        sentence={"prefix": "a"},
        split={"rule": "fractions", "train": 0.5, "val": 0.2},
    )
    manifest = build_manifest(load_spec("toy"), 1)
    assert manifest.domains == ("default",)
    assert Counter((i.label, i.split) for i in manifest.images) == {
        (0, "train"): 5,
        (0, "val"): 2,
        (0, "test"): 3,
        (1, "train"): 5,
        (1, "val"): 2,
        (1, "test"): 3,
    }


@pytest.mark.parametrize(
    ("files", "changes", "message"),
    [
        (["photo/dog/1.png", "sketch/dog/1.png"], {}, "class 'big cat' has no image"),
        (["photo/dog/1.png"], {}, "folder is missing"),
        (["photo/cow/1.png", "sketch/dog/1.png"], {}, "not a class of the dataset"),
        (None, {"counts": {"images": 5}}, "declared 5; got 4"),
        (None, {"counts": {"domains": {"photo": 3}}}, r"\(domains.photo\) is not the declared 3"),
        (None, {"counts": {"test": 1}}, r"\(test\) is not the declared 1"),
    ],
)
def test_what_is_on_disk_must_be_what_is_declared(
    toy: Any, files: list[str] | None, changes: dict[str, object], message: str
) -> None:
    toy(zip_bytes({name: png() for name in files}) if files else None, **changes)
    with pytest.raises(DataError, match=message):
        build_manifest(load_spec("toy"), 1)


def test_labels_among_some_classes(toy: Any) -> None:
    toy()
    manifest = build_manifest(load_spec("toy"), 1)
    ids = [image.id for image in reversed(manifest.images)]
    assert manifest.labels(ids, ["dog", "big cat"]).tolist() == [0, 0, 1, 1]
    with pytest.raises(DataError, match="class is not one of"):
        manifest.labels(ids, ["dog"])
    with pytest.raises(DataError, match="no such image"):
        manifest.labels(["toy/x.png"], ["dog"])


@pytest.mark.parametrize("damage", ["label", "domain", "split", "twice", "columns", "cut"])
def test_a_damaged_manifest_is_one_clear_error(toy: Any, machine: Path, damage: str) -> None:
    toy()
    path = machine / "toy.json"
    manifest = build_manifest(load_spec("toy"), 1)
    first = manifest.images[0]
    changed = {
        "label": replace(first, labels=(2,)),
        "domain": replace(first, domain="oil"),
        "split": replace(first, split="tset"),  # type: ignore[arg-type]
        "twice": manifest.images[1],
    }.get(damage, first)
    save_manifest(replace(manifest, images=(changed, *manifest.images[1:])), path)
    if damage == "columns":
        path.write_text(json.dumps({**json.loads(path.read_text()), "columns": ["path"]}))
    if damage == "cut":
        path.write_text(path.read_text()[:100])
    with pytest.raises(DataError, match=r"toy\.json"):
        load_manifest(path)
