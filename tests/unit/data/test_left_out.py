"""Images that lie where no class takes them: told, and never an evaluation of nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from fedmvp.catalog.spec import load_spec
from fedmvp.data.build import build_manifest
from fedmvp.data.readers.layout import locate, other_files
from fedmvp.errors import DataError
from tests.unit.data.conftest import png

WNIDS = ("n01440764", "n01443537")
LAYOUT = {
    "reader": "part_class_folders",
    "folder": [".", "images"],
    "parts": {"train": "train", "test": "val"},
}


@pytest.fixture
def imagenet(toy: Any, machine: Path) -> Path:
    """ImageNet's layout with two classes; returns the dataset's folder."""
    toy(
        layout=LAYOUT,
        domains=None,
        sources=None,
        sentence={"prefix": "a"},
        split={"rule": "official"},
        classes=[{"name": n, "folder": w} for n, w in zip(("tench", "gold"), WNIDS, strict=True)],
    )
    folder = machine / "raw/toy"
    for part in ("train", "val"):
        for wnid in WNIDS:
            (folder / part / wnid).mkdir(parents=True)
            for number in range(2):
                (folder / part / wnid / f"{part}{number}.JPEG").write_bytes(png())
    return folder


def build() -> None:
    build_manifest(load_spec("toy"), 1)


@pytest.mark.parametrize("part", ["train", "val"])
@pytest.mark.parametrize("subset", [True, False])
def test_images_left_flat(imagenet: Path, part: str, subset: bool) -> None:
    if subset:
        (imagenet / ".fedmvp-subset").touch()
    for wnid in WNIDS:
        for path in (imagenet / part / wnid).iterdir():
            path.rename(imagenet / part / f"{wnid}_{path.name}")
    with pytest.raises(DataError, match=f"4 images lie directly in {part}; sort them into class"):
        build()
    for wnid in WNIDS:
        (imagenet / part / wnid).rmdir()
    with pytest.raises(DataError, match=f"4 images lie directly in {part}; sort them into class"):
        build()


@pytest.mark.parametrize("part", ["train", "val"])
def test_images_a_level_too_deep(imagenet: Path, part: str) -> None:
    for wnid in WNIDS:
        (imagenet / part / wnid / "images").mkdir()
        for path in (imagenet / part / wnid).glob("*.JPEG"):
            path.rename(path.parent / "images" / path.name)
    with pytest.raises(DataError, match="2 images lie deeper than the class folder 'n01440764'"):
        build()


def test_no_image_to_test_on(toy: Any, machine: Path) -> None:
    toy(
        layout={"reader": "class_folders"},
        domains=None,
        sources=None,
        sentence={"prefix": "a"},
        classes=["a", "b"],
        split={"rule": "fractions", "train": 0.9, "val": 0.05},
    )
    for number in range(8):
        path = machine / f"raw/toy/{'ab'[number % 2]}/{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png())
    with pytest.raises(DataError, match="no image to test on; got '8 images, generated split'"):
        build()


def test_a_split_file_without_test_images(imagenet: Path, machine: Path, toy: Any) -> None:
    toy(
        layout=LAYOUT,
        domains=None,
        sources=None,
        sentence={"prefix": "a"},
        split={"rule": "official"},
        split_file={"name": "split.json"},
        classes=[{"name": n, "folder": w} for n, w in zip(("tench", "gold"), WNIDS, strict=True)],
    )
    rows = [
        [f"train/{w}/train0.JPEG", i, n]
        for i, (n, w) in enumerate(zip(("tench", "gold"), WNIDS, strict=True))
    ]
    (imagenet / "split.json").write_text(json.dumps({"train": rows, "val": [], "test": []}))
    with pytest.raises(DataError, match="no image to test on"):
        build()


def test_a_few_loose_images_are_told(imagenet: Path) -> None:
    shutil.copy(imagenet / "val" / WNIDS[0] / "val0.JPEG", imagenet / "val/x.JPEG")
    (imagenet / "train" / WNIDS[0] / "x.cr2").write_bytes(b"x")
    build()
    spec = load_spec("toy")
    assert other_files(spec, locate(spec, imagenet)) == [
        "formats that are not read: 1 .cr2; save them as JPEG or PNG",
        "1 image lies directly in val; sort them into class folders",
    ]


def test_folders_that_are_skipped_on_purpose_are_not_told(imagenet: Path, toy: Any) -> None:
    toy(
        layout={**LAYOUT, "other_folders": "skip"},
        domains=None,
        sources=None,
        sentence={"prefix": "a"},
        split={"rule": "official"},
        classes=[{"name": n, "folder": w} for n, w in zip(("tench", "gold"), WNIDS, strict=True)],
    )
    (imagenet / "val/n02").mkdir()
    (imagenet / "val/n02/1.JPEG").write_bytes(png())
    build()
    spec = load_spec("toy")
    assert other_files(spec, locate(spec, imagenet)) == []


@pytest.mark.parametrize("name", ["__MACOSX", "@eaDir", "lost+found", ".ipynb_checkpoints", "new"])
def test_folders_of_systems_and_empty_ones_are_passed_over(imagenet: Path, name: str) -> None:
    (imagenet / "train" / name / "deep").mkdir(parents=True)
    if name != "new":
        (imagenet / "train" / name / "1.JPEG").write_bytes(png())
    build()


def test_a_folder_that_is_no_class_names_the_nearest(imagenet: Path) -> None:
    (imagenet / "train/n01440765").mkdir()
    (imagenet / "train/n01440765/1.JPEG").write_bytes(png())
    with pytest.raises(DataError, match="not a class of the dataset; hint: is it 'n01440764'"):
        build()
