"""Manifests whose images show any number of classes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedmvp.data.image import Image
from fedmvp.data.label_sets import label_matrix, rarest_labels
from fedmvp.data.manifest_files import load_manifest, save_manifest
from fedmvp.errors import DataError
from tests.multi_toys import SEEN, UNSEEN, multi_manifest
from tests.toys import NAMES

ODD = Image("toys/odd", "odd", (), "default", "test", (2, 5))


def test_a_manifest_reads_what_it_wrote(tmp_path: Path) -> None:
    manifest = multi_manifest(more=[ODD])
    save_manifest(manifest, tmp_path / "m.json")
    assert load_manifest(tmp_path / "m.json") == manifest
    assert (manifest.seen, manifest.unseen) == (SEEN, UNSEEN)


def test_the_matrix_says_shown_absent_and_ignored() -> None:
    manifest = multi_manifest(more=[ODD, Image("toys/two", "two", (0, 7), "default", "test")])
    matrix = manifest.label_matrix(["toys/odd", "toys/two"], (NAMES[7], NAMES[2], NAMES[0]))
    assert matrix.dtype == np.int8
    assert matrix.tolist() == [[0, -1, 0], [1, 0, 1]]


def test_the_rarest_label_ignores_what_is_ignored() -> None:
    images = [
        Image("a", "a", (0, 1), "default", "train"),
        Image("b", "b", (0,), "default", "train", (2,)),
        Image("c", "c", (), "default", "train"),
        Image("d", "d", (1, 2), "default", "train"),
    ]
    matrix = label_matrix(images, range(3), 3)
    # Class 0 and 1 are shown twice, class 2 once; image c shows none.
    assert rarest_labels(matrix).tolist() == [0, 0, 3, 2]


def test_one_label_is_not_taken_for_many() -> None:
    manifest = multi_manifest(more=[ODD])
    with pytest.raises(DataError, match=r"one class is needed.*0 labels"):
        manifest.labels(["toys/odd"], NAMES)


SPOILT: dict[str, Callable[[dict[str, Any]], None]] = {
    "label unknown": lambda v: v["images"][0].__setitem__(1, [99]),
    "label no number": lambda v: v["images"][0].__setitem__(1, ["0"]),
    "label listed twice": lambda v: v["images"][0].__setitem__(1, [1, 1]),
    "labels not ascending": lambda v: v["images"][0].__setitem__(1, [3, 1]),
    "shown and ignored": lambda v: v["images"][0].__setitem__(2, v["images"][0][1]),
    "labels no list": lambda v: v["images"][0].__setitem__(1, 0),
    "unseen unknown": lambda v: v.update(unseen=["ghost"]),
    "every class unseen": lambda v: v.update(unseen=list(NAMES)),
    "columns of a single label": lambda v: v.update(columns=["path", "label", "domain", "split"]),
    "task unknown": lambda v: v.update(task="several"),
}


@pytest.mark.parametrize("case", SPOILT)
def test_a_spoilt_manifest_is_refused(case: str, tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    save_manifest(multi_manifest(), path)
    value = json.loads(path.read_text(encoding="utf-8"))
    SPOILT[case](value)
    path.write_text(json.dumps(value), encoding="utf-8")
    with pytest.raises(DataError, match="not a valid manifest"):
        load_manifest(path)


def test_a_single_label_manifest_has_no_new_keys(tmp_path: Path) -> None:
    single = replace(
        multi_manifest(),
        task="single",
        unseen=(),
        images=tuple(replace(image, labels=image.labels[:1]) for image in multi_manifest().images),
    )
    save_manifest(single, tmp_path / "m.json")
    text = (tmp_path / "m.json").read_text(encoding="utf-8")
    assert "task" not in text and "unseen" not in text
    assert load_manifest(tmp_path / "m.json") == single
