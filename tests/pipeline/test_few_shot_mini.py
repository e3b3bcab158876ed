"""The field's few-shot protocol on miniatures: ten clients of disjoint classes on five datasets."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from fedmvp.config import Params, load_params
from fedmvp.partition.setting_spec import load_setting
from tests.paths import ROOT
from tests.pipeline.miniature import all_partitions, reproduce

pytestmark = [pytest.mark.pipeline, pytest.mark.slow, pytest.mark.minutes]

PROFILE = "few-shot-mini"
# The last client has what is left: round(C / 10) classes are the others'.
CLASSES = {
    "few_shot_oxford_flowers": [10] * 9 + [12],
    "few_shot_oxford_pets": [4] * 9 + [1],
    "few_shot_food101": [10] * 9 + [11],
    "few_shot_caltech101": [10] * 10,
    "few_shot_dtd": [5] * 9 + [2],
}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy with the miniatures, after `dvc repro` of the profile."""
    root = tmp_path_factory.mktemp("few_shot") / "mini"
    reproduce(root, PROFILE, None)
    return root


@pytest.fixture
def params(done: Path) -> Params:
    return load_params(done / "params.yaml")


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_clients_are_the_protocols(done: Path, tmp_path: Path) -> None:
    partitions = all_partitions(done, PROFILE, tmp_path)
    assert partitions.keys() == CLASSES.keys()
    for setting, expected in CLASSES.items():
        partition = partitions[setting]
        # One training image a class; every client has the names of all classes.
        assert [len(client["train"]) for client in partition["clients"]] == expected
        (every,) = (t for t in partition["targets"] if t["group"] == "target")
        assert {tuple(c["classes"]) for c in partition["clients"]} == {tuple(every["classes"])}
    for path in (done / "data/partitions").glob("*.json"):
        assert read(path) == partitions[path.stem]


def test_every_method_has_personal_numbers_of_its_kind(done: Path, params: Params) -> None:
    for setting in params.run.settings:
        for method in (*params.run.zero_shot, *params.run.trained):
            found = read(done / f"results/{setting}/{method}/seed1/personal.json")
            assert found["choices"]["candidates"] == "all"
            assert found["choices"]["images"].startswith("few_shot_disjoint: clients 10")
            assert {"global", "personal", "neighbour", "personal_target"} <= set(found["numbers"])
            assert ("fine_tuned" in found) == (method in ("promptfl", "fedmvp"))
            assert ("stability" in found) == (method not in params.run.zero_shot)
    assert found["clients"]["all"] == 10


def test_the_table_of_the_report_is_theirs(done: Path, params: Params) -> None:
    rows = list(csv.DictReader((done / "report/tables/personal.csv").open(encoding="utf-8")))
    models = {(row["method"], row["model"]) for row in rows}
    assert models == {
        ("zero_shot", "untrained"),
        ("promptfl", "aggregated"),
        ("promptfl", "fine_tuned"),
        ("pfedmoap", "aggregated_and_own"),
        ("fedmvp", "aggregated"),
        ("fedmvp", "fine_tuned"),
    }
    assert {row["setting"] for row in rows} == set(params.run.settings)
    published = list(csv.DictReader((done / "report/tables/published.csv").open(encoding="utf-8")))
    assert published == []


def test_the_large_profile_has_the_same_settings() -> None:
    params = load_params(ROOT / f"fedmvp/profiles/{PROFILE}.yaml")
    assert set(params.run.settings) == set(CLASSES)
    large = load_params(ROOT / "fedmvp/profiles/few-shot.yaml")
    assert (large.run.suite, large.run.settings) == (params.run.suite, params.run.settings)
    assert large.data.datasets == params.data.datasets
    assert set(params.run.trained) <= set(large.run.trained)
    for name in large.run.settings:
        setting = load_setting(large.run.suite, name)
        assert setting.scheme == {"name": "few_shot_disjoint", "clients": 10}
        assert setting.candidates == "all"
