"""Damaged multi-label data: one line that says what, where and which value, and what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fedmvp.catalog.layouts import MlrsnetTables
from fedmvp.catalog.spec import load_spec
from fedmvp.data.build import build_manifest
from fedmvp.errors import DataError
from tests.miniatures import build_dataset

Spoil = Callable[[Path], None]


def lines(path: str, change: Callable[[list[str]], object]) -> Spoil:
    """Return what changes the lines of a file of the dataset."""

    def spoil(root: Path) -> None:
        rows = (root / path).read_text().splitlines()
        change(rows)
        (root / path).write_text("".join(f"{row}\n" for row in rows))

    return spoil


def instances(change: Callable[[dict[str, Any]], object]) -> Spoil:
    """Return what changes the objects of COCO's training images."""

    def spoil(root: Path) -> None:
        path = root / "annotations/instances_train2014.json"
        value = json.loads(path.read_text())
        change(value)
        path.write_text(json.dumps(value))

    return spoil


def put(rows: list[str], place: int, row: str) -> None:
    rows[place] = row


def remove(path: str) -> Spoil:
    return lambda root: (root / path).unlink()


VOC = "VOCdevkit/VOC2007/ImageSets/Main/"
CASES: list[tuple[str, Spoil, str, str]] = [
    (
        "voc2007",
        lines(f"{VOC}cat_test.txt", lambda r: put(r, 0, "000501  2")),
        "cat_test.txt",
        "flag is not 1, -1 or 0; got '000501 2'",
    ),
    (
        "voc2007",
        lines(f"{VOC}cat_test.txt", lambda r: put(r, 0, "000501")),
        "cat_test.txt",
        "flag is not 1, -1 or 0; got '000501'",
    ),
    (
        "voc2007",
        lines(f"{VOC}cat_test.txt", lambda r: r.pop()),
        "cat_test.txt",
        "does not have the images of test.txt in the same order; got '19 lines, 20 images'",
    ),
    ("voc2007", remove(f"{VOC}dog_trainval.txt"), "dog_trainval.txt", "list is missing"),
    (
        "voc2007",
        remove("VOCdevkit/VOC2007/JPEGImages/000501.jpg"),
        "000501.jpg",
        "image is missing",
    ),
    (
        "coco2014",
        instances(lambda v: v["categories"].pop()),
        "instances_train2014.json",
        "a class is not among the categories; got 'toothbrush'",
    ),
    (
        "coco2014",
        instances(lambda v: v["annotations"][0].update(category_id=999)),
        "instances_train2014.json",
        "an object is of category that the file does not list; got 999",
    ),
    (
        "coco2014",
        instances(lambda v: v["annotations"][0].update(image_id=-1)),
        "instances_train2014.json",
        "an object is of image that the file does not list; got -1",
    ),
    (
        "coco2014",
        instances(lambda v: v["categories"].append({"id": 500, "name": "unicorn"})),
        "instances_train2014.json",
        "a category is not a class of the catalog; got 'unicorn'",
    ),
    (
        "coco2014",
        instances(lambda v: v.pop("images")),
        "instances_train2014.json",
        "not a file of instances (KeyError: 'images')",
    ),
    (
        "coco2014",
        instances(lambda v: v.update(annotations=[1])),
        "instances_train2014.json",
        "not a file of instances (TypeError",
    ),
    (
        "coco2014",
        lines("annotations/instances_val2014.json", lambda r: put(r, 0, "{")),
        "instances_val2014.json",
        "not valid JSON",
    ),
    (
        "nuswide",
        lines("TrainTestLabels/Labels_sky_Test.txt", lambda r: put(r, 4, "2")),
        "Labels_sky_Test.txt",
        "a label is not 0 or 1; got 'line 5: 2'",
    ),
    (
        "nuswide",
        lines("TrainTestLabels/Labels_sky_Test.txt", lambda r: r.pop()),
        "Labels_sky_Test.txt",
        "not have a line for each image; got '81 lines, 82 images'",
    ),
    (
        "nuswide_asl",
        lines("nus_wid_data.csv", lambda r: put(r, 1, "a.jpg,['unicorn'],train")),
        "nus_wid_data.csv",
        "unknown class or part; got 'row 2: unicorn'",
    ),
    (
        "nuswide_asl",
        lines("nus_wid_data.csv", lambda r: put(r, 1, "a.jpg,['sky'],test")),
        "nus_wid_data.csv",
        "unknown class or part; got 'row 2: test'",
    ),
    (
        "nuswide_asl",
        lines("nus_wid_data.csv", lambda r: put(r, 0, "file,label,split")),
        "nus_wid_data.csv",
        "columns are not filename, label and split",
    ),
    (
        "multiscene",
        lines("Test.csv", lambda r: put(r, 1, r[1].replace(",1", ",3", 1))),
        "Test.csv",
        "a label is not 0 or 1; got 'row 2: 3'",
    ),
    (
        "multiscene",
        lines("Test.csv", lambda r: put(r, 1, r[1] + ",0")),
        "Test.csv",
        "row does not have a cell for each column; got 'row 2: 38 cells'",
    ),
    (
        "multiscene",
        lines("Tra.csv", lambda r: put(r, 0, r[0].replace("Apron", "Bridge"))),
        "Tra.csv",
        "class does not have exactly one column; got 'Apron'",
    ),
    (
        "multiscene",
        lines("Tra.csv", lambda r: put(r, 0, r[0].replace("Apron", "Unicorn"))),
        "Tra.csv",
        "column is not a class; got 'Unicorn'",
    ),
    ("multiscene", remove("Tra.csv"), "Tra.csv", "table is missing"),
    (
        "mlrsnet",
        lines(
            "labels/airplane.csv",
            lambda r: put(
                r,
                0,
                r[0]
                .replace("airport", "?")
                .replace("airplane", "airport")
                .replace("?", "airplane"),
            ),
        ),
        "airplane.csv",
        "class 'airplane' is missing in rows of its own category; got 'in 3% of 60",
    ),
]


@pytest.mark.parametrize(("name", "spoil", "where", "what"), CASES)
def test_one_clear_error(
    name: str, spoil: Spoil, where: str, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEDMVP_DATA", str(tmp_path))
    spoil(build_dataset(name, tmp_path))
    with pytest.raises(DataError) as caught:
        build_manifest(load_spec(name), 1)
    message = str(caught.value)
    assert where in caught.value.where and what in message, message
    assert "; hint: " in message and "\n" not in message


def test_rows_with_impossible_counts_are_refused_unless_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEDMVP_DATA", str(tmp_path))
    build_dataset("mlrsnet", tmp_path)
    spec = load_spec("mlrsnet")
    layout = spec.layout[0]
    assert isinstance(layout, MlrsnetTables) and layout.damaged == "drop"
    strict = (layout.model_copy(update={"damaged": "refuse"}),)
    with pytest.raises(DataError) as caught:
        build_manifest(spec.model_copy(update={"layout": strict}), 1)
    message = str(caught.value)
    assert "1 rows have more than 13 labels; got 'parkway_00006.jpg: 60 labels'" in message
    assert "damaged: drop" in message
