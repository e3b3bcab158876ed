"""Clients and targets from manifests alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from fedmvp.config import load_params
from fedmvp.data.build import build_manifest
from fedmvp.data.manifest import save_manifest
from fedmvp.data.paths import manifest_path
from fedmvp.data.spec import load_spec
from fedmvp.settings.build import build_partition
from fedmvp.settings.spec import load_setting
from tests.unit.cli.conftest import Run


@pytest.fixture
def small(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two of the datasets, to save time."""
    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    params["data"]["datasets"] = ["animals", "food"]
    Path("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    return repository


def test_one_setting_is_the_partition_the_stage_makes(run: Run, small: Path) -> None:
    record = json.loads(run("settings", "base_to_new", "--json").stdout)
    params = load_params()
    manifests = {
        name: build_manifest(load_spec(name), params.data.split_seed)
        for name in params.data.datasets
    }
    partition = build_partition(
        "base_to_new",
        load_setting("emoji", "base_to_new"),
        manifests,
        classes_per_client=params.partition.classes_per_client,
        shots=params.partition.shots,
        seed=params.partition.seed,
    )
    assert record["setting"] == "base_to_new"
    assert [
        (c["id"], c["fold"], c["dataset"], c["domain"], c["classes"], c["images"])
        for c in record["clients"]
    ] == [
        (c.id, c.fold, c.dataset, c.domain, list(c.classes), len(c.train))
        for c in partition.clients
    ]
    assert [(t["group"], t["name"], t["dataset"], t["classes"], t["images"])
            for t in record["targets"]] == [
        (t.group, t.name, t.dataset, list(t.classes), len(t.images)) for t in partition.targets
    ]  # fmt: skip
    table = run("settings", "base_to_new").stdout
    assert "animals-000" in table
    assert not manifest_path("animals").exists()


def test_the_stages_manifest_is_used_where_it_is(run: Run, small: Path) -> None:
    for name in ("animals", "food"):
        save_manifest(build_manifest(load_spec(name), 1), manifest_path(name))
    before = run("settings", "base_to_new", "--json").stdout
    assert run("settings", "base_to_new", "--json").stdout == before
    manifest_path("food").write_text("{", encoding="utf-8")
    assert "food.json: not valid JSON" in run("settings", "base_to_new", code=2).stderr


def test_all_settings_are_listed(run: Run, small: Path) -> None:
    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    params["data"]["datasets"] += ["objects"]  # the source of cross_dataset
    params["run"]["settings"] = ["base_to_new"]
    Path("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    rows = json.loads(run("settings", "--json").stdout)
    assert [row["setting"] for row in rows] == ["base_to_new", "cross_dataset", "msst", "ssmt"]
    assert [row["in_run"] for row in rows] == [True, False, False, False]
    assert all(row["clients"] > 0 and row["targets"] > 0 for row in rows)


def test_unknown_settings_are_named(run: Run, small: Path) -> None:
    assert "did you mean 'base_to_new'" in run("settings", "base_to_nw", code=2).stderr


def test_nothing_is_downloaded(run: Run, tower: object) -> None:
    """A dataset that is not embedded needs its manifest first."""
    root = Path(__file__).parents[3]
    params = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    params["data"]["datasets"] = ["toys"]
    Path("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    assert "dvc repro download" in run("settings", "base_to_new", code=2).stderr
