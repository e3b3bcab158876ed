"""pretrain/dvc.yaml says what each stage reads and writes; only evaluation sees the attributes."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from pipeline.support.imports import OURS, Sources
from pretrain.recipe import Recipe
from tests.paths import ROOT

STAGES: dict[str, Any] = yaml.safe_load((ROOT / "pretrain/dvc.yaml").read_text())["stages"]
SOURCES = Sources(ROOT, (*OURS, "pretrain"))
MADE = "pretrain/made/"


def written(name: str) -> list[str]:
    """What a stage writes, options left out."""
    entries = STAGES[name].get("outs", []) + STAGES[name].get("metrics", [])
    return [path for entry in entries for path in entry]


@pytest.mark.parametrize("name", STAGES)
def test_code_dependencies_are_the_import_closure(name: str) -> None:
    # The package itself only says where its names are; no stage here asks it for one.
    closure = SOURCES.closure(f"pretrain.{name}")
    needed = [m for m in closure if not SOURCES.is_trivial(m) and m != "fedmvp"]
    files = [file for module in needed if (file := SOURCES.file(module))]
    listed = {dep for dep in STAGES[name]["deps"] if dep.endswith(".py")}
    assert listed == {file.relative_to(ROOT).as_posix() for file in files}
    assert STAGES[name]["cmd"].split()[:3] == ["python", "-m", f"pretrain.{name}"]


def test_every_derived_dependency_is_what_an_earlier_stage_writes() -> None:
    made: set[str] = set()
    for name, stage in STAGES.items():
        for dep in stage["deps"]:
            if dep.startswith(MADE):
                assert any(dep == out or dep.startswith(f"{out}/") for out in made), (name, dep)
            else:
                assert (ROOT / dep).exists(), (name, dep)
        made |= set(written(name))


def test_the_weights_survive_a_failed_export() -> None:
    """DVC removes what a stage writes before it runs it, unless told to keep it."""
    for name in ("export", "evaluate", "card"):
        entries = STAGES[name].get("outs", []) + STAGES[name].get("metrics", [])
        assert all(options["persist"] for entry in entries for options in entry.values())


def test_params_are_keys_of_the_recipe() -> None:
    for stage in STAGES.values():
        for entry in stage.get("params", []):
            for key in entry["pretrain/params.yaml"] or []:
                assert key.split(".")[0] in Recipe.model_fields


def test_training_never_reads_the_benchmarks_attributes() -> None:
    for name, stage in STAGES.items():
        reads = any("attributes" in dep for dep in stage["deps"])
        assert reads == (name in ("evaluate", "card"))
    for file in (ROOT / "pretrain").glob("*.py"):
        mentions = '"recorded"' in file.read_text() or "fedmvp.attributes" in file.read_text()
        assert not mentions or file.stem == "card", file
