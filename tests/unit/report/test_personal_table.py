"""The personal numbers on the page, in their table and in MLflow: apart from all others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fedmvp.csv_files import read_csv
from fedmvp.errors import DataError
from fedmvp.files import write_json
from fedmvp.report import Subject, build
from fedmvp.report.personal_table import personal_table
from fedmvp.report.study import load_study
from fedmvp.results.personal import read_personal
from fedmvp.tracking.projection import project
from tests.unit.report.synthetic import World

RECORD: dict[str, Any] = {
    "choices": {
        "model": "fine_tuned",
        "fine_tune_epochs": 3,
        "images": "iid: clients 2",
        "candidates": "all",
        "client_mean": "weighted",
        "round": "last",
    },
    "clients": {"all": 2, "without_test_images": 1, "never_selected": 0},
    "numbers": {"global": 0.5, "personal": 0.75, "personal_new": 0.25},
    "fairness": {
        kind: {"std": 0.125, "worst": 0.5, "best": 1.0, "minimum": 0.5, "maximum": 1.0}
        for kind in ("global", "personal")
    },
    "matrix": [],
}


@pytest.fixture
def world(tmp_path: Path) -> tuple[Path, Path, Path]:
    made = World(settings=("base_to_new",), zero_shot=("zero_shot",), seeds=(1, 2), rounds=2)
    results, partitions = made.write(tmp_path)
    for seed, personal in ((1, 0.75), (2, 0.85)):
        numbers = {**RECORD["numbers"], "personal": personal}
        folder = results / f"base_to_new/fedmvp/seed{seed}"
        write_json(folder / "personal.json", {**RECORD, "numbers": numbers})
        write_json(results / f"base_to_new/zero_shot/seed{seed}/personal.json", {})
    return results, partitions, tmp_path / "report"


def test_page_and_table(world: tuple[Path, Path, Path]) -> None:
    results, partitions, out = world
    build(results, partitions, out, Subject(profile="toy"))
    page = (out / "index.html").read_text(encoding="utf-8")
    assert "<h3>Personal models</h3>" in page and "fine-tuned, 3 epochs" in page
    assert "all classes its dataset trains on" in page and "weighted by test images" in page
    assert "1 without test images (left out)" in page
    rows = read_csv(out / "tables/personal.csv")
    (personal,) = (row for row in rows if row["number"] == "personal")
    assert (personal["mean"], personal["seeds"]) == ("0.800000", "2")
    assert {row["method"] for row in rows} == {"fedmvp"}
    assert {(row["model"], row["candidates"]) for row in rows} == {("fine_tuned", "all")}
    assert {"global", "personal_new", "personal/std", "global/worst"} <= {r["number"] for r in rows}
    summary = {row["metric"] for row in read_csv(out / "tables/summary.csv")}
    assert not summary & {"personal", "global"}


def test_fine_tuned_models_and_the_last_rounds_stand_beside(world: tuple[Path, Path, Path]) -> None:
    results, partitions, out = world
    folder = results / "base_to_new/fedmvp"
    plain = {
        **RECORD,
        "choices": {**RECORD["choices"], "model": "aggregated", "fine_tune_epochs": 0},
    }
    stable = {"rounds": 5, "numbers": {"global": 0.4, "personal": 0.6}}
    for seed in (1, 2):
        record = {**plain, "stability": stable, "fine_tuned": RECORD}
        write_json(folder / f"seed{seed}/personal.json", record)
    build(results, partitions, out, Subject(profile="toy"))
    page = (out / "index.html").read_text(encoding="utf-8")
    assert "FedMVP, fine-tuned" in page and "fine-tuned, 3 epochs" in page
    assert "the global one" in page
    assert "“last rounds” is the mean of the last 5" in page
    rows = read_csv(out / "tables/personal.csv")
    found = {(row["model"], row["number"]): (row["round"], row["mean"]) for row in rows}
    assert found["aggregated", "personal"] == ("last", "0.750000")
    assert found["aggregated", "stability/personal"] == ("mean of the last 5", "0.600000")
    assert found["fine_tuned", "personal"] == ("last", "0.750000")
    assert ("fine_tuned", "stability/personal") not in found
    metrics = project(folder / "seed1").metrics
    assert metrics["personal_evaluation/stability/personal"] == 0.6
    assert metrics["personal_evaluation/fine_tuned/personal"] == 0.75


def test_an_even_spread_is_not_marked_as_worst(world: tuple[Path, Path, Path]) -> None:
    results, partitions, _ = world
    for seed in (1, 2):
        even = {
            **RECORD,
            "fairness": {
                kind: {**RECORD["fairness"][kind], "std": 0.01} for kind in ("global", "personal")
            },
        }
        write_json(results / f"base_to_new/zero_shot/seed{seed}/personal.json", even)
    study = load_study(
        results, partitions, Subject(profile="toy"), settings=None, methods=None, seeds=None
    )
    table = personal_table(study, "base_to_new")
    assert table is not None
    spread = table.titles.index("Std over clients")
    assert not any(line.cells[spread].best for line in table.lines)
    assert any(line.cells[table.titles.index("Personal")].best for line in table.lines)


def test_without_it_nothing_is_shown(world: tuple[Path, Path, Path]) -> None:
    results, partitions, out = world
    for path in results.rglob("personal.json"):
        path.unlink()
    build(results, partitions, out, Subject(profile="toy"))
    assert "Personal models" not in (out / "index.html").read_text(encoding="utf-8")
    assert not (out / "tables/personal.csv").exists()


def test_mlflow_names_are_their_own(world: tuple[Path, Path, Path]) -> None:
    folder = world[0] / "base_to_new/fedmvp/seed1"
    found = project(folder)
    assert found.metrics["personal_evaluation/personal"] == 0.75
    assert found.metrics["personal_evaluation/personal/std"] == 0.125
    assert "personal" not in found.metrics and "hm" in found.metrics
    assert found.params["personal_evaluation.candidates"] == "all"
    assert found.params["personal_evaluation.clients.without_test_images"] == "1"
    (folder / "personal.json").unlink()
    assert not [
        key
        for key in (*project(folder).metrics, *project(folder).params)
        if key.startswith("personal")
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"numbers": {"personal": 2}}, "2 is not a fraction"),
        ({"numbers": {"personal": True}}, "True is not a fraction"),
        ({"choices": 3}, "not a personal evaluation"),
        ({"clients": {"all": None}}, "not a personal evaluation"),
    ],
)
def test_a_damaged_file_is_one_line(change: dict[str, Any], words: str, tmp_path: Path) -> None:
    path = tmp_path / "personal.json"
    write_json(path, {**RECORD, **change})
    with pytest.raises(DataError, match=words):
        read_personal(path)
