"""dvc.yaml says what each stage depends on: no code, data or parameter too many or too few."""

from __future__ import annotations

import ast

import pytest

from tests.code_deps import (
    CODE,
    HASHES,
    covered,
    listing,
    methods,
    needed,
    params,
    reachable,
    stages,
    written,
)
from tests.imports import OURS, ROOT, closure, module_file

STAGES = stages()
# Sections a stage's helper modules can read but this stage does not, with the reason.
UNREAD = {
    # Only a trained run's identity holds them (pipeline.workbench).
    "evaluate": {"attributes", "data", "federation", "partition", "run"},
    "zero_shot": {"federation"},
    # The dataset's name comes with the command.
    "attributes": set(),
}


def expanded(name: str, entries: list[str]) -> list[str]:
    """Return dependencies for every method the stage can run for."""
    return [e.replace("${item.method}", m) for e in entries for m in (methods(name) or [""])]


@pytest.mark.parametrize("name", STAGES)
def test_code_dependencies_are_the_import_closure(name: str) -> None:
    listed = covered(expanded(name, STAGES[name]["deps"]))
    missing, surplus = needed(name) - listed, listed - needed(name)
    assert not missing and not surplus, (
        f"dvc.yaml, stage {name}: missing {sorted(missing)}, not needed {sorted(surplus)}; "
        "its code should be\n" + "\n".join(f"      - {line}" for line in listing(name))
    )


@pytest.mark.parametrize("name", STAGES)
def test_code_is_listed_in_the_shortest_form(name: str) -> None:
    code = [
        entry
        for entry in STAGES[name]["deps"]
        if entry.endswith(".py") or (entry.split("/")[0] in OURS and (ROOT / entry).is_dir())
    ]
    assert sorted(e for e in code if covered(expanded(name, [e]))) == listing(name)


def test_code_of_many_runs_is_hashed_by_a_stage_of_its_own() -> None:
    hashing = {name: stage for name, stage in written().items() if name.endswith(CODE)}
    assert {name.removesuffix(CODE) for name in hashing} == {n for n in STAGES if methods(n)}
    for name, stage in hashing.items():
        user, out = name.removesuffix(CODE), f"data/code/{name.removesuffix(CODE)}.json"
        assert stage["cmd"] == f"python -m pipeline.code {user}"
        assert stage["outs"] == [out]
        assert HASHES in stage["deps"]
        assert out in written()[user]["deps"]
        own = [e for e in written()[user]["deps"] if e.split("/")[0] in OURS]
        assert own == ["fedmvp/methods/${item.method}.py"]


@pytest.mark.parametrize("name", ["train", "evaluate", "zero_shot"])
def test_a_methods_own_module_concerns_it_alone(name: str) -> None:
    """Unless another method builds on it."""
    listed = covered(STAGES[name]["deps"])
    for method in methods(name):
        module = f"fedmvp.methods.{method}"
        users = {m for m in methods(name) if module in reachable(name, m)}
        assert (module in listed) == (users != {method})


def test_report_code_is_no_dependency_of_what_it_reports() -> None:
    for name in set(STAGES) - {"report", "track"}:
        assert not {m for m in needed(name) if m.startswith(("fedmvp.report.", "fedmvp.cli."))}


def test_a_catalog_entry_concerns_its_own_dataset_alone() -> None:
    """Else adding a dataset would train everything again: later stages read manifests."""
    catalog = "fedmvp/data/catalog"
    found = {
        name: [e for e in stage["deps"] if f"{catalog}/".startswith(f"{e}/") or catalog in e]
        for name, stage in STAGES.items()
    }
    own = [f"{catalog}/${{item.dataset}}.yaml"]
    assert {name: deps for name, deps in found.items() if deps} == {
        "download": own,
        "attributes": own,
    }


@pytest.mark.parametrize("name", STAGES)
def test_tracked_sections_are_those_read(name: str) -> None:
    """The sections named in the stage's module and in the helpers of pipeline/ it uses."""
    read: set[str] = set()
    for module in closure(f"pipeline.{name}"):
        if module.startswith("pipeline."):
            file = module_file(module)
            assert file is not None
            read |= _sections(ast.parse(file.read_text(encoding="utf-8")))
    tracked = {entry.split(".")[0] for entry in STAGES[name].get("params", [])}
    assert tracked == read - UNREAD.get(name, set())


def _sections(tree: ast.AST) -> set[str]:
    """Return the names read off something called params: ``bench.params.run`` gives ``run``."""
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and ast.unparse(node.value).split(".")[-1] in ("params", "load_params()")
        and node.attr in params()
    }


@pytest.mark.parametrize("name", STAGES)
def test_nothing_volatile_is_in_a_stage(name: str) -> None:
    stage = STAGES[name]
    assert stage["cmd"].startswith(f"python -m pipeline.{name}")
    assert not {"always_changed", "frozen", "wdir", "vars"} & set(stage)
    for out in stage["outs"]:
        assert isinstance(out, str), f"{name}: {out} has options; outs are cached, never persisted"
    assert len(stage["deps"]) == len(set(stage["deps"]))


@pytest.mark.parametrize("name", STAGES)
def test_every_file_in_the_repository_that_is_named_exists(name: str) -> None:
    fixed = [e for e in STAGES[name]["deps"] if e.split("/")[0] in OURS and "${" not in e]
    assert not [entry for entry in fixed if not (ROOT / entry).exists()]


def test_no_other_pipeline_is_part_of_this_one() -> None:
    """Else `dvc repro` would train PictoCLIP first, whose weights are a dependency here."""
    others = [file for file in ROOT.glob("*/dvc.yaml") if not (file.parent / ".dvc").is_dir()]
    assert not others, "give the folder a DVC project of its own: <folder>/.dvc/config"
