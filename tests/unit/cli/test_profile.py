"""Profiles: valid, listed, and put to use without losing what a user wrote."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from fedmvp.cli.profile import changes
from fedmvp.config import load_params
from fedmvp.profiles import profile_names, profile_text
from tests.unit.cli.conftest import ROOT, Run

PARAMS = Path("params.yaml")


def test_the_default_profile_is_the_repositorys_params() -> None:
    assert profile_text("default") == (ROOT / "params.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_has_what_dvc_tracks(name: str) -> None:
    """DVC stops at a parameter that is missing, even where our models have a default."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"].values()
    params = yaml.safe_load(profile_text(name))
    tracked = {key for stage in stages for key in stage.get("params", ()) if "${" not in key}
    assert "data.capture" in tracked
    for key in tracked:
        place = params
        for part in key.split("."):
            assert part in place, f"{key} is missing"
            place = place[part]


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_is_valid(name: str) -> None:
    from fedmvp.catalog.spec import load_spec
    from fedmvp.methods.build import method_params, resolved_federation
    from fedmvp.partition.folds import datasets_of
    from fedmvp.partition.setting_spec import load_setting

    params = load_params(ROOT / f"fedmvp/profiles/{name}.yaml")
    assert params.profile == name
    for method, section in params.methods.items():
        resolved_federation(method, method_params(method, section), params.federation)
    for setting in params.run.settings:
        datasets_of(load_setting(params.run.suite, setting), params.data.datasets)
    for dataset in params.data.datasets:
        load_spec(dataset)


def test_list_marks_the_one_in_use(run: Run, repository: Path) -> None:
    rows = json.loads(run("profile", "list", "--json").stdout)
    assert [row["profile"] for row in rows] == list(profile_names())
    assert [row["profile"] for row in rows if row["in_use"]] == ["default"]
    assert "*  default" in run("profile", "list").stdout
    PARAMS.write_text("profile: mine\n", encoding="utf-8")
    assert "params.yaml has been edited" in run("profile", "list").stdout
    PARAMS.unlink()
    assert "params.yaml is missing" in run("profile", "list").stdout


def test_use_writes_a_missing_file_and_is_idempotent(run: Run, repository: Path) -> None:
    PARAMS.unlink()
    assert "is now profile default" in run("profile", "use", "default").stdout
    assert PARAMS.read_text(encoding="utf-8") == profile_text("default")
    assert run("profile", "use", "default").stdout == "params.yaml is profile default already\n"


def test_an_edited_file_is_not_overwritten_unasked(run: Run, repository: Path) -> None:
    edited = profile_text("default").replace("rounds: ", "rounds: 7", 1)
    PARAMS.write_text(edited, encoding="utf-8")
    result = run("profile", "use", "default", code=2)
    assert "params.yaml: has entries of your own" in result.stderr
    assert "--force" in result.stderr
    assert PARAMS.read_text(encoding="utf-8") == edited


def test_force_keeps_the_old_file_and_says_what_changed(run: Run, repository: Path) -> None:
    rounds = load_params().federation.rounds
    edited = profile_text("default").replace(f"rounds: {rounds}", f"rounds: {rounds}7", 1)
    PARAMS.write_text(edited, encoding="utf-8")
    output = run("profile", "use", "default", "--force").stdout
    assert f"federation.rounds: {rounds}7 → {rounds}\n" in output
    assert Path(".fedmvp/params.yaml.bak").read_text(encoding="utf-8") == edited
    assert PARAMS.read_text(encoding="utf-8") == profile_text("default")


def test_a_broken_file_can_be_replaced(run: Run, repository: Path) -> None:
    PARAMS.write_text("a: [", encoding="utf-8")
    assert "was not valid YAML" in run("profile", "use", "default", "--force").stdout
    assert load_params().profile == "default"


def test_unknown_profiles_are_named(run: Run, repository: Path) -> None:
    result = run("profile", "use", "papr", code=2)
    assert "unknown profile; got 'papr'" in result.stderr
    assert "default" in result.stderr


def test_changes_reach_into_sections() -> None:
    old = {"a": {"b": 1, "same": 2}, "list": [1], "gone": None}
    new = {"a": {"b": 3, "same": 2}, "list": [1, 2], "more": {"c": 1}}
    assert list(changes(old, new)) == [
        "a.b: 1 → 3",
        "list: [1] → [1, 2]",
        "gone: None → (none)",
        "more: (none) → {'c': 1}",
    ]
