"""Every on-disk layout, in its true form, with a few classes (docs/datasets.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from fedmvp.catalog.spec import load_spec
from fedmvp.data.build import build_manifest
from fedmvp.data.readers.lists import ucf101_name
from fedmvp.errors import DataError


@pytest.fixture
def tree(toy: Any, machine: Path) -> Any:
    """Lay out a user's own dataset: files by path, a layout and classes; returns a builder."""

    def make(files: dict[str, str], layout: object, classes: list[object], **more: object) -> None:
        toy(
            **{
                "layout": layout,
                "classes": classes,
                "domains": None,
                "sources": None,
                "sentence": {"prefix": "a"},
                "split": {"rule": "official", "val": 0.5},
                **more,
            }
        )
        for name, text in files.items():
            path = machine / "raw" / "toy" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return make


def rows() -> list[tuple[str, int, str]]:
    """Return path, label and split of each image."""
    return [(i.path, i.label, i.split) for i in build_manifest(load_spec("toy"), 1).images]


PETS = {
    "images/Abyssinian_1.jpg": "x",
    "images/Abyssinian_2.jpg": "x",
    "images/american_bulldog_3.jpg": "x",
    "images/american_bulldog_4.jpg": "x",
    "images/american_bulldog_5.mat": "x",
    "annotations/trainval.txt": "Abyssinian_1 1 1 1\namerican_bulldog_3 2 2 1\n",
    "annotations/test.txt": "#comment\nAbyssinian_2 1 1 1\namerican_bulldog_4 2 2 1\n",
}


def test_pets(tree: Any) -> None:
    tree(
        PETS,
        {"reader": "pets_lists"},
        ["abyssinian", "american_bulldog"],
        split={"rule": "official"},
    )
    assert rows() == [
        ("images/Abyssinian_1.jpg", 0, "train"),
        ("images/Abyssinian_2.jpg", 0, "test"),
        ("images/american_bulldog_3.jpg", 1, "train"),
        ("images/american_bulldog_4.jpg", 1, "test"),
    ]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("annotations/trainval.txt", "Abyssinian_1 2 1 1\n", "class number"),
        ("annotations/trainval.txt", "siamese_1 1 1 1\n", "'siamese' is not a class"),
        ("annotations/test.txt", "Abyssinian_9 1 1 1\n", "image is missing"),
    ],
)
def test_a_list_that_lies_is_refused(tree: Any, name: str, text: str, message: str) -> None:
    tree({**PETS, name: text}, {"reader": "pets_lists"}, ["abyssinian", "american_bulldog"])
    with pytest.raises(DataError, match=message):
        build_manifest(load_spec("toy"), 1)


def test_aircraft_names_hold_slashes(tree: Any) -> None:
    files = {f"data/images/{i:07d}.jpg": "x" for i in range(6)}
    for number, part in enumerate(("train", "val", "test")):
        lines = f"{2 * number:07d} F-16A/B\n{2 * number + 1:07d} 707-320\n"
        files[f"data/images_variant_{part}.txt"] = lines
    files["data/variants.txt"] = "707-320\nF-16A/B\n"
    layout = {"reader": "aircraft_lists", "folder": [".", "data"]}
    tree(files, layout, ["707-320", "F-16A/B"])
    assert rows() == [
        ("images/0000001.jpg", 0, "train"),
        ("images/0000003.jpg", 0, "val"),
        ("images/0000005.jpg", 0, "test"),
        ("images/0000000.jpg", 1, "train"),
        ("images/0000002.jpg", 1, "val"),
        ("images/0000004.jpg", 1, "test"),
    ]
    tree(files, layout, ["F-16A/B", "707-320"])
    with pytest.raises(DataError, match="order is not the catalog's"):
        build_manifest(load_spec("toy"), 1)


def test_ucf101_renames_folders_only(tree: Any) -> None:
    folder = "UCF-101-midframes/Handstand_Pushups"
    files = {
        f"{folder}/v_HandStandPushups_g01_c01.jpg": "x",
        f"{folder}/v_HandStandPushups_g02_c01.jpg": "x",
        "UCF-101-midframes/Yo_Yo/v_YoYo_g01_c01.jpg": "x",
        "ucfTrainTestlist/trainlist01.txt": "HandstandPushups/v_HandStandPushups_g02_c01.avi 1\n",
        "ucfTrainTestlist/testlist01.txt": "HandstandPushups/v_HandStandPushups_g01_c01.avi\n"
        "YoYo/v_YoYo_g01_c01.avi\n",
    }
    tree(
        files,
        {"reader": "ucf101_lists"},
        ["Handstand_Pushups", "Yo_Yo"],
        split={"rule": "official"},
    )
    assert rows() == [
        (f"{folder}/v_HandStandPushups_g01_c01.jpg", 0, "test"),
        (f"{folder}/v_HandStandPushups_g02_c01.jpg", 0, "train"),
        ("UCF-101-midframes/Yo_Yo/v_YoYo_g01_c01.jpg", 1, "test"),
    ]
    assert ucf101_name("ApplyEyeMakeup") == "Apply_Eye_Makeup"


def test_sun397_has_nested_classes(tree: Any) -> None:
    inside = "SUN397/i/ice_skating_rink/indoor/sun_a.jpg"
    files = {
        inside: "x",
        "SUN397/a/abbey/sun_b.jpg": "x",
        "SUN397/a/abbey/sun_unlisted.jpg": "x",
        "Training_01.txt": "/a/abbey/sun_b.jpg\n",
        "Testing_01.txt": "/i/ice_skating_rink/indoor/sun_a.jpg\n",
    }
    classes = [
        {"name": "abbey", "folder": "a/abbey"},
        {"name": "indoor ice_skating_rink", "folder": "i/ice_skating_rink/indoor"},
    ]
    tree(files, {"reader": "sun397_lists"}, classes, split={"rule": "official"})
    assert rows() == [("SUN397/a/abbey/sun_b.jpg", 0, "train"), (inside, 1, "test")]


def test_flowers_labels_start_at_one(tree: Any, machine: Path) -> None:
    tree(
        {f"jpg/image_{i:05d}.jpg": "x" for i in (1, 2, 3, 4)},
        {"reader": "flowers_mat"},
        ["rose", "lily"],
        split={"rule": "fractions", "train": 0.5},
    )
    labels = machine / "raw" / "toy" / "imagelabels.mat"
    with pytest.raises(DataError, match="label file is missing"):
        build_manifest(load_spec("toy"), 1)
    savemat(labels, {"labels": np.array([[2, 1, 2, 1]], dtype=np.uint8)})
    assert [(path, label) for path, label, _ in rows()] == [
        ("jpg/image_00002.jpg", 0),
        ("jpg/image_00004.jpg", 0),
        ("jpg/image_00001.jpg", 1),
        ("jpg/image_00003.jpg", 1),
    ]
    savemat(labels, {"labels": np.array([[3, 1, 2, 0]], dtype=np.uint8)})
    with pytest.raises(DataError, match="class number is not one"):
        build_manifest(load_spec("toy"), 1)
    labels.write_bytes(b"not matlab")
    with pytest.raises(DataError, match="not the expected MATLAB file"):
        build_manifest(load_spec("toy"), 1)


def test_cars(tree: Any, machine: Path) -> None:
    files = {f"cars_{part}/{i:05d}.jpg": "x" for part in ("train", "test") for i in (1, 2)}
    tree(
        {**files, "devkit/README.txt": ""},
        {"reader": "cars_mat"},
        ["2012 Audi", "2012 BMW"],
        split={"rule": "official"},
    )
    root = machine / "raw" / "toy"
    for name, labels in (
        ("devkit/cars_train_annos", (2, 1)),
        ("cars_test_annos_withlabels", (1, 2)),
    ):
        rows_ = np.array(
            [(f"{i:05d}.jpg", label) for i, label in enumerate(labels, start=1)],
            dtype=[("fname", object), ("class", object)],
        )
        savemat(root / f"{name}.mat", {"annotations": rows_})
    assert rows() == [
        ("cars_test/00001.jpg", 0, "test"),
        ("cars_train/00002.jpg", 0, "train"),
        ("cars_test/00002.jpg", 1, "test"),
        ("cars_train/00001.jpg", 1, "train"),
    ]


@pytest.mark.parametrize("top", ["", "images/"])
def test_imagenet_in_both_places(tree: Any, top: str) -> None:
    wnids = ("n01440764", "n01443537")
    files = {f"{top}{part}/{w}/{part}.JPEG": "x" for part in ("train", "val") for w in wnids}
    layout = {
        "reader": "part_class_folders",
        "folder": [".", "images"],
        "parts": {"train": "train", "test": "val"},
    }
    tree(
        files,
        layout,
        [{"name": n, "folder": w} for n, w in zip(("tench", "gold"), wnids, strict=True)],
    )
    assert rows() == [
        ("train/n01440764/train.JPEG", 0, "train"),
        ("val/n01440764/val.JPEG", 0, "test"),
        ("train/n01443537/train.JPEG", 1, "train"),
        ("val/n01443537/val.JPEG", 1, "test"),
    ]


def test_numeric_folders_are_labels(tree: Any) -> None:
    """In the order of their names, folder 10 would come before folder 2."""
    files = {f"v2/{label}/{label}.jpeg": "x" for label in range(12)}
    layout = {"reader": "class_folders", "folder": "v2", "class_dirs": "label", "part": "test"}
    tree(
        {**files, "v2/README.txt": "", "v2/3/dataset.h5": ""},
        layout,
        [f"class {i}" for i in range(12)],
    )
    assert rows() == [(f"{label}/{label}.jpeg", label, "test") for label in range(12)]


def test_domains_may_have_other_folders(tree: Any) -> None:
    layouts = [
        {"reader": "domain_class_folders", "folder": [".", "VLCS"]},
        {
            "reader": "domain_class_folders",
            "class_dirs": "label",
            "domain_folders": {"sun": "SUN/full", "pascal": "PASCAL/full"},
        },
    ]
    more = {
        "domains": [{"name": "sun", "folder": "SUN09"}, {"name": "pascal", "folder": "VOC2007"}],
        "split": {"rule": "fractions", "train": 0.5},
    }
    dassl = {f"{d}/full/{i}/1.jpg": "x" for d in ("SUN", "PASCAL") for i in (0, 1)}
    tree({**dassl, "SUN/train/0/1.jpg": "x"}, layouts, ["bird", "car"], **more)
    manifest = build_manifest(load_spec("toy"), 1)
    assert [(i.path, i.domain, i.label) for i in manifest.images] == [
        ("SUN/full/0/1.jpg", "sun", 0),
        ("PASCAL/full/0/1.jpg", "pascal", 0),
        ("SUN/full/1/1.jpg", "sun", 1),
        ("PASCAL/full/1/1.jpg", "pascal", 1),
    ]


def test_no_known_layout_says_where_it_looked(tree: Any) -> None:
    tree(
        {"elsewhere/a.jpg": "x"},
        {"reader": "class_folders", "folder": ["images", "dtd"]},
        ["a", "b"],
    )
    with pytest.raises(DataError, match="looked for images/a/, dtd/a/"):
        build_manifest(load_spec("toy"), 1)
