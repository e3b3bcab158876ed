"""Folders, lists and files as other systems and other copies spell them."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from fedmvp.catalog.spec import DatasetSpec, load_spec
from fedmvp.data.build import build_manifest
from fedmvp.data.readers.layout import locate
from fedmvp.errors import DataError
from tests.unit.data.conftest import png

APART = unicodedata.normalize("NFD", "café")


@pytest.fixture
def own(toy: Any, machine: Path) -> Path:
    """A dataset with a split file that lists images of two classes; returns its folder."""
    toy(
        layout={"reader": "class_folders"},
        domains=None,
        sources=None,
        sentence={"prefix": "a"},
        classes=["café", "tiger shark"],
        split={"rule": "fractions", "train": 0.5},
        split_file={"name": "split.json"},
    )
    return machine / "raw/toy"


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(png())


def rows() -> list[tuple[str, int]]:
    return [(i.path, i.label) for i in build_manifest(load_spec("toy"), 1).images]


@pytest.mark.parametrize(
    ("coffee", "shark"), [("café", "tiger shark"), (APART, "tiger_shark"), ("Café", "Tiger-Shark")]
)
def test_class_folders_may_be_spelt_otherwise(own: Path, coffee: str, shark: str) -> None:
    put(own, *(f"{name}/{n}.png" for name in (coffee, shark) for n in (1, 2)))
    assert rows() == [
        (f"{coffee}/1.png", 0),
        (f"{coffee}/2.png", 0),
        (f"{shark}/1.png", 1),
        (f"{shark}/2.png", 1),
    ]


def test_two_spellings_of_a_class_are_refused(own: Path) -> None:
    put(own, "café/1.png", "tiger shark/1.png", "tiger_shark/1.png")
    with pytest.raises(DataError, match="tiger_shark: folder is not a class"):
        rows()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("separator", ["/", "\\"])
@pytest.mark.parametrize("coffee", ["café", APART])
def test_split_files_of_other_systems(
    own: Path, encoding: str, separator: str, coffee: str
) -> None:
    put(own, f"{APART}/1.png", "tiger shark/1.png", "tiger shark/2.png")
    split = {
        "train": [[f"{coffee}{separator}1.png", 0, "café"]],
        "val": [],
        "test": [[f"tiger shark{separator}{n}.png", 1, "tiger shark"] for n in (1, 2)],
    }
    text = json.dumps(split, ensure_ascii=False, indent=1).replace("\n", "\r\n")
    (own / "split.json").write_bytes(text.encode(encoding))
    assert rows() == [(f"{APART}/1.png", 0), ("tiger shark/1.png", 1), ("tiger shark/2.png", 1)]


@pytest.mark.parametrize(
    "name", ["..\\out.png", "C:\\out.png", "C:out.png", "\\out.png", "/out.png"]
)
def test_paths_that_leave_the_folder_are_refused(own: Path, name: str) -> None:
    put(own, "café/1.png", "tiger shark/1.png")
    (own / "split.json").write_text(
        json.dumps({"train": [[name, 0, "café"]], "val": [], "test": []})
    )
    with pytest.raises(DataError, match="leaves the dataset's folder"):
        rows()


def base(name: str, folder: Path, *files: str) -> tuple[DatasetSpec, str]:
    """Lay files out as a shipped dataset; return its entry and where its layout begins."""
    put(folder, *files)
    spec = load_spec(name)
    located = locate(spec, folder)
    return spec, f"{located.layout.reader} {located.base.relative_to(folder).as_posix()}"


@pytest.mark.parametrize(
    ("name", "files", "found"),
    [
        ("eurosat", ["EuroSAT_RGB/AnnualCrop/1.jpg"], "class_folders EuroSAT_RGB"),
        ("eurosat", ["EuroSAT/AnnualCrop/1.jpg"], "class_folders EuroSAT"),
        ("sun397", ["SUN397/train/abbey/1.jpg"], "part_class_folders SUN397"),
        (
            "sun397",
            ["train/ice_skating_rink_indoor/1.jpg", "test/abbey/1.jpg"],
            "part_class_folders .",
        ),
        ("sun397", ["SUN397/a/abbey/1.jpg"], "sun397_lists ."),
        (
            "officehome",
            ["art/train/Alarm_Clock/1.jpg", "art/val/Alarm_Clock/2.jpg"],
            "domain_class_folders .",
        ),
        ("officehome", ["Real_World/Alarm_Clock/1.jpg"], "domain_class_folders ."),
        ("vlcs", ["VLCS/CALTECH/bird/1.jpg"], "domain_class_folders VLCS"),
        ("vlcs", ["VLCS/PASCAL/full/bird/1.jpg"], "domain_class_folders VLCS"),
        ("vlcs", ["SUN/train/0/1.jpg", "SUN/test/0/2.jpg"], "domain_class_folders ."),
    ],
)
def test_common_variants_are_read(machine: Path, name: str, files: list[str], found: str) -> None:
    assert base(name, machine / "copy", *files)[1] == found


def test_parts_below_domains_are_taken_together(toy: Any, machine: Path) -> None:
    toy(layout={"reader": "domain_class_folders", "within": ["train", "val"]}, sources=None)
    put(
        machine / "raw/toy",
        *(
            f"{domain}/{part}/{name}/1.png"
            for domain in ("photo", "Sketch")
            for part in ("train", "val")
            for name in ("big-cat", "dog")
        ),
    )
    manifest = build_manifest(load_spec("toy"), 1)
    assert {(i.path, i.domain) for i in manifest.images if i.label == 1} == {
        ("photo/train/dog/1.png", "photo"),
        ("photo/val/dog/1.png", "photo"),
        ("Sketch/train/dog/1.png", "sketch"),
        ("Sketch/val/dog/1.png", "sketch"),
    }


def test_no_layout_names_the_expected_and_the_nearest(machine: Path) -> None:
    with pytest.raises(DataError) as caught:
        base("eurosat", machine / "eurosat", "satellite/AnnualCrop/1.jpg", "satellite/Forest/1.jpg")
    message = str(caught.value)
    assert "no layout of the catalog is here; got ['satellite']" in message
    assert "eurosat/satellite holds 2 of its 10 class folders: move them" in message
    assert "looked for 2750/AnnualCrop/, EuroSAT/2750/AnnualCrop/" in message
