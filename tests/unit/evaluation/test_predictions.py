"""predictions.csv gives the accuracies of targets.csv, and nothing else is taken for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmvp.csv_files import read_csv, write_csv
from fedmvp.errors import DataError
from fedmvp.partition.model import Target
from fedmvp.results.predictions import (
    PREDICTION_COLUMNS,
    TargetPredictions,
    read_predictions,
    write_predictions,
)

CLASSES = ("ant", "bear, brown", 'the "owl"')


def part(name: str, answers: list[tuple[int, int]], group: str = "base") -> TargetPredictions:
    """Return a target's predictions from (label, predicted) of each image."""
    images = tuple(f"pets/{name}/{number}.png" for number in range(len(answers)))
    labels, predicted = np.array(answers, dtype=np.int64).T
    return TargetPredictions(
        Target(name, "main", group, "pets", None, CLASSES, images), labels, predicted
    )


def row(found: TargetPredictions) -> dict[str, Any]:
    """Return the target's row as `evaluate` makes it."""
    right = int((found.labels == found.predicted).sum())
    target = found.target
    return {
        "fold": target.fold,
        "group": target.group,
        "name": target.name,
        "dataset": target.dataset,
        "images": len(target.images),
        "accuracy": right / len(target.images),
    }


PARTS = [part("one", [(0, 0), (1, 2), (2, 2)]), part("two", [(1, 1), (0, 1)], "new")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "predictions.csv"
    write_predictions(file, PARTS)
    return file


def test_rows_are_images_in_order(path: Path) -> None:
    rows = read_csv(path)
    assert tuple(rows[0]) == PREDICTION_COLUMNS
    assert rows[1] == {
        "fold": "main",
        "group": "base",
        "name": "one",
        "dataset": "pets",
        "image": "pets/one/1.png",
        "label": "bear, brown",
        "predicted": 'the "owl"',
    }
    assert [r["image"] for r in rows] == [i for p in PARTS for i in p.target.images]


def test_what_is_read_is_what_was_written(path: Path) -> None:
    answers = read_predictions(path, map(row, PARTS))
    assert [a.tolist() for a in answers.correct] == [[True, False, True], [True, False]]
    assert [t.images for t in answers.targets] == [p.target.images for p in PARTS]
    assert answers.targets[1].labels == ("bear, brown", "ant")
    assert (answers.targets[1].group, answers.targets[1].name) == ("new", "two")


answer = st.tuples(st.integers(0, 2), st.integers(0, 2))


@given(st.lists(st.lists(answer, min_size=1, max_size=40), min_size=1, max_size=4))
def test_accuracies_are_recomputed_exactly(
    tmp_path_factory: pytest.TempPathFactory, answers: list[list[tuple[int, int]]]
) -> None:
    parts = [part(f"t{number}", found) for number, found in enumerate(answers)]
    file = tmp_path_factory.mktemp("read") / "predictions.csv"
    write_predictions(file, parts)
    rows = [row(found) for found in parts]
    write_csv(file.with_name("targets.csv"), tuple(rows[0]), rows)
    written = [{**r, "images": int(r["images"])} for r in read_csv(file.with_name("targets.csv"))]
    correct = read_predictions(file, written).correct
    assert [int(c.sum()) / len(c) for c in correct] == [r["accuracy"] for r in rows]


HEAD = ",".join(PREDICTION_COLUMNS)
LINES = ["main,base,one,pets,a,ant,ant", "main,base,one,pets,b,ant,owl"]


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ([], "columns are not fold, group"),
        ([HEAD.replace("label", "truth"), *LINES], "columns are not fold, group"),
        ([f"{HEAD},score", *LINES], "columns are not fold, group"),
        ([HEAD], "a row for each image"),
        ([HEAD, LINES[0]], "a row for each image"),
        ([HEAD, LINES[0], "main,base,one,pets,b,ant"], "a row for each image"),
        ([HEAD, *LINES, LINES[0]], "more rows than targets.csv has images"),
        (
            [HEAD, LINES[0], LINES[1].replace("base", "new")],
            "not the one at this place in targets.csv",
        ),
        ([HEAD, LINES[0], LINES[1].replace(",b,", ",a,")], "listed twice"),
        ([HEAD, LINES[0], LINES[1].replace("owl", "")], "a cell is empty"),
        ([HEAD, LINES[0], LINES[1].replace("owl", "ant")], "accuracy differs from targets.csv"),
        ([HEAD, '"', *LINES], "not a CSV table"),
    ],
)
def test_another_table_is_one_clear_error(tmp_path: Path, lines: list[str], complaint: str) -> None:
    file = tmp_path / "predictions.csv"
    file.write_text("".join(f"{line}\n" for line in lines))
    target = {
        "fold": "main",
        "group": "base",
        "name": "one",
        "dataset": "pets",
        "images": 2,
        "accuracy": 0.5,
    }
    with pytest.raises(DataError, match=complaint) as caught:
        read_predictions(file, [target])
    assert "predictions.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_or_binary_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="file is missing"):
        read_predictions(tmp_path / "predictions.csv", [])
    (tmp_path / "predictions.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="not a CSV table"):
        read_predictions(tmp_path / "predictions.csv", [])
