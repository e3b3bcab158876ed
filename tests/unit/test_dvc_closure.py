"""dvc.yaml says what each stage depends on: no code, data or parameter too many or too few."""

from __future__ import annotations

import ast
import subprocess
import sys
from typing import Any

import pytest
import yaml

from fedmvp.methods import METHODS
from pipeline.support.code_hashes import METHOD_STAGES, STAGES, code_of
from pipeline.support.imports import OURS
from tests.paths import ROOT, SOURCES

PARAMS: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
WRITTEN: dict[str, dict[str, Any]] = yaml.safe_load(
    (ROOT / "dvc.yaml").read_text(encoding="utf-8")
)["stages"]
COMPUTING = sorted(set(WRITTEN) - {"code"})
# Sections a stage's helper modules can read but this stage does not, with the reason.
UNREAD = {
    # Only a trained run's identity holds them (pipeline.support.run_context).
    "evaluate": {"attributes", "data", "partition", "run"},
    "zero_shot": {"federation"},
}
# Prints, after a stage was loaded as its process would, what else it could not do without.
LOADED = """
import importlib, sys
importlib.import_module(f"pipeline.{sys.argv[1]}")
if sys.argv[2]:
    importlib.import_module(f"fedmvp.methods.{sys.argv[2]}")
print(*(name for name in sys.modules if name.split(".")[0] in ("fedmvp", "pipeline")))
"""


def test_every_stage_depends_on_its_code_by_one_file() -> None:
    assert set(COMPUTING) == {*STAGES, *METHOD_STAGES}
    for name in COMPUTING:
        own = f"{name}/${{item.method}}" if name in METHOD_STAGES else name
        code = [e for e in WRITTEN[name]["deps"] if e.startswith("data/code")]
        assert code == [f"data/code/{own}.json"]
        assert ("method" in WRITTEN[name].get("matrix", {})) == (name in METHOD_STAGES)
        assert not [e for e in WRITTEN[name]["deps"] if e.endswith(".py")]
    assert WRITTEN["code"]["deps"] == list(OURS)


@pytest.mark.parametrize("stage", COMPUTING)
def test_what_a_stage_loads_is_in_its_code(stage: str) -> None:
    """Against the interpreter itself: the code is read from source, and this is what runs."""
    method = {"train": "fedmvp", "evaluate": "fedtpg", "zero_shot": "zero_shot"}.get(stage)
    done = subprocess.run(
        [sys.executable, "-c", LOADED, stage, method or ""],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {m for m in done.stdout.split() if not SOURCES.is_trivial(m)} - {"fedmvp.methods"}
    assert loaded <= code_of(SOURCES, stage, method)


@pytest.mark.parametrize("stage", METHOD_STAGES)
def test_a_methods_own_module_concerns_it_alone(stage: str) -> None:
    for method, own in {
        "fedmvp": "fedmvp",
        "fedvpt_deep": "fedvpt",
        "promptfl": "promptfl",
    }.items():
        others = {f"fedmvp.methods.{module}" for module, *_ in METHODS.values()}
        assert others & code_of(SOURCES, stage, method) == {f"fedmvp.methods.{own}"}
    assert "fedmvp.methods.promptformer" in code_of(SOURCES, stage, "fedmvp")
    assert "fedmvp.methods.promptformer" not in code_of(SOURCES, stage, "promptfl")


def test_report_and_tracking_code_is_no_dependency_of_what_they_show() -> None:
    observers = ("fedmvp.report.", "fedmvp.cli.", "fedmvp.tracking")
    for stage in set(COMPUTING) - {"report", "track"}:
        assert not [m for m in code_of(SOURCES, stage, _any(stage)) if m.startswith(observers)]


def _any(stage: str) -> str | None:
    return "fedmvp" if stage in METHOD_STAGES else None


def test_a_catalog_entry_concerns_its_own_dataset_alone() -> None:
    """Else adding a dataset would train everything again: later stages read manifests."""
    catalog = "fedmvp/catalog/datasets"

    def reads(entry: str) -> bool:
        return f"{catalog}/".startswith(f"{entry}/") or catalog in entry

    found = {name: [e for e in WRITTEN[name]["deps"] if reads(e)] for name in COMPUTING}
    own = [f"{catalog}/${{item.dataset}}.yaml"]
    assert {name: deps for name, deps in found.items() if deps} == {
        "download": own,
        "attributes": own,
    }


@pytest.mark.parametrize("name", COMPUTING)
def test_tracked_sections_are_those_read(name: str) -> None:
    """The sections named in the stage's module and in the helpers of pipeline/ it uses."""
    read: set[str] = set()
    for module in SOURCES.closure(f"pipeline.{name}"):
        if module.startswith("pipeline."):
            read |= _sections(SOURCES.tree(module))
    tracked = {entry.split(".")[0] for entry in WRITTEN[name].get("params", [])}
    assert tracked == read - UNREAD.get(name, set())


def _sections(tree: ast.AST) -> set[str]:
    """Return the names read off something called params: ``bench.params.run`` gives ``run``."""
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and ast.unparse(node.value).split(".")[-1] in ("params", "load_params()")
        and node.attr in PARAMS
    }


@pytest.mark.parametrize("name", sorted(WRITTEN))
def test_nothing_volatile_is_in_a_stage(name: str) -> None:
    stage = WRITTEN[name]
    assert stage["cmd"].startswith(f"python -m pipeline.{name}")
    assert not {"always_changed", "frozen", "wdir", "vars"} & set(stage)
    for out in stage["outs"]:
        assert isinstance(out, str), f"{name}: {out} has options; outs are cached, never persisted"
    assert len(stage["deps"]) == len(set(stage["deps"]))


@pytest.mark.parametrize("name", sorted(WRITTEN))
def test_every_file_in_the_repository_that_is_named_exists(name: str) -> None:
    fixed = [e for e in WRITTEN[name]["deps"] if e.split("/")[0] in OURS and "${" not in e]
    assert not [entry for entry in fixed if not (ROOT / entry).exists()]


def test_no_other_pipeline_is_part_of_this_one() -> None:
    """Else `dvc repro` would train PictoCLIP first, whose weights are a dependency here."""
    others = [file for file in ROOT.glob("*/dvc.yaml") if not (file.parent / ".dvc").is_dir()]
    assert not others, "give the folder a DVC project of its own: <folder>/.dvc/config"
