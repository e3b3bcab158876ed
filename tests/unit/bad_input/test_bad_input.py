"""Every kind of bad input ends in one line that says what, where, which value and what to do.

Exit code 2, no traceback, nothing written. Stages and commands run in this process.
"""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest

from tests.unit.bad_input import (
    archive_cases,
    attribute_cases,
    catalog_cases,
    command_cases,
    data_cases,
    params_cases,
    partition_cases,
    tensor_cases,
)
from tests.unit.bad_input.cases import Case
from tests.unit.bad_input.world import ENVIRONMENT, World, build

CASES = [
    *params_cases.CASES,
    *command_cases.CASES,
    *catalog_cases.CASES,
    *archive_cases.CASES,
    *data_cases.CASES,
    *partition_cases.CASES,
    *attribute_cases.CASES,
    *tensor_cases.CASES,
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A project with nothing wrong."""
    return build(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def world(whole: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: None) -> World:
    """Change into a copy of the project."""
    root = tmp_path / "project"
    shutil.copytree(whole.root, root)
    monkeypatch.chdir(root)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    for name in ("FEDMVP_DEBUG", "FEDMVP_DEVICE", "FEDMVP_THREADS", "FEDMVP_DETERMINISM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    return World(root)


def test_every_case_has_a_name_of_its_own() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input_is_refused_in_one_line(
    world: World, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    case.spoil(world)
    for name, value in case.environment.items():
        monkeypatch.setenv(name, value)
    before = world.files()
    outcome = world.run(*case.words)
    assert outcome.code == 2, outcome
    assert outcome.out == ""
    assert "Traceback" not in outcome.err
    # Training says on stderr how far it is; the error comes last.
    *progress, line = outcome.err.splitlines()
    assert not any(text.startswith("error: ") for text in progress)
    assert line.startswith("error: ")
    assert "; hint: " in line
    assert len(line) < 1400
    assert line.isprintable()
    for part in case.tells:
        assert part in line, line
    after = world.files()
    assert after.keys() == before.keys()
    assert after == before


@pytest.mark.parametrize(
    "command",
    [
        ("download", "toys"),
        ("attributes", "toys"),
        ("partition", "small"),
        ("zero_shot", "small", "zero_shot"),
        ("evaluate", "small", "fedmvp", "1"),
        ("predict", "image0.png", "--weights", "results/small/fedmvp/seed1", "--json"),
        ("settings", "small", "--json"),
    ],
    ids=lambda command: command[0],
)
def test_the_unspoilt_project_is_taken(world: World, command: tuple[str, ...]) -> None:
    outcome = world.run(*command)
    assert outcome.code == 0, outcome.err


@pytest.mark.parametrize("name", ["and/or", "naïve 象", "../up", "a" * 900, "{}", "a\u2044b"])
def test_class_names_may_be_any_printable_text(world: World, name: str) -> None:
    """They are data: no path is made of them."""
    world.catalog(classes=[{"name": name, "folder": "red_fox"}, "teapot", "snow owl", "kite"])
    world.edit_json("lists.json", lambda lists: {name: ["a long tail"], **lists})
    for words in (
        ("download", "toys"),
        ("attributes", "toys"),
        ("partition", "small"),
        ("zero_shot", "small", "zero_shot"),
    ):
        outcome = world.run(*words)
        assert outcome.code == 0, outcome.err


@pytest.mark.parametrize("how", ["option", "variable", "stage"])
def test_only_debug_shows_the_traceback(
    world: World, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commands have --debug; a stage, which DVC starts, is told by FEDMVP_DEBUG as they are."""
    world.params(partition__shots=-1)
    words = ("partition", "small") if how == "stage" else ("settings", "small")
    assert "Traceback" not in world.run(*words).err
    if how != "option":
        monkeypatch.setenv("FEDMVP_DEBUG", "1")
    outcome = world.run(*words, *(["--debug"] if how == "option" else []))
    assert outcome.code == 2
    assert "Traceback" in outcome.err
    assert outcome.err.splitlines()[-1].startswith("error: params.yaml: partition.shots: ")
