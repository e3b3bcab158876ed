"""What stands in params.yaml cannot reach a shell, nor the outputs of another stage."""

from __future__ import annotations

import contextlib
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.pipeline.conftest import Copy
from tests.pipeline.tiny import dvc

pytestmark = pytest.mark.pipeline

WORDS = [
    "1; touch PWNED; true",
    "$(touch PWNED)",
    "`touch PWNED`",
    "'; touch PWNED; '",
    "a\nb",
    "--seed",
    "* ?",
]
LISTS = ("run.seeds", "run.settings", "run.trained", "run.zero_shot", "data.datasets")


@pytest.mark.parametrize("key", LISTS)
def test_every_value_is_one_word_of_a_command(copy: Copy, key: str) -> None:
    """As DVC would give it to the shell, also where it is told to run one stage alone."""
    from dvc.repo import Repo

    copy.set_param(key, WORDS)
    with contextlib.chdir(copy.root), Repo() as repo:
        commands = [shlex.split(stage.cmd) for stage in repo.index.stages]
    given = set()
    for python, flag, module, *options in commands:
        assert (python, flag) == ("python", "-m")
        assert module.startswith("pipeline.")
        assert [name.removeprefix("--") for name in options[::2]] == [
            name for name in ("dataset", "setting", "method", "seed") if f"--{name}" in options[::2]
        ]
        given.update(options[1::2])
    assert given >= set(WORDS)


@pytest.mark.slow
@pytest.mark.parametrize("stage", [(), ("--single-item", "train")], ids=["all", "one"])
@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("run", "seeds", ["1; touch PWNED; true"]),
        ("run", "seeds", [{"x; touch PWNED": 1}]),
        ("run", "settings", ["../../data/emoji"]),
        ("run", "suite", "$(touch PWNED)"),
        ("data", "datasets", ["a;touch PWNED"]),
        ("attributes", "template", "`touch PWNED`"),
    ],
    ids=["seed", "table", "way out", "suite", "dataset", "template"],
)
def test_it_is_refused_before_any_stage_starts(
    tiny_project: Path,
    warm: Path,
    tmp_path: Path,
    section: str,
    key: str,
    value: Any,
    stage: tuple[str, ...],
) -> None:
    root = tmp_path / "copy"
    shutil.copytree(tiny_project, root, symlinks=True)
    path = root / "params.yaml"
    params = yaml.safe_load(path.read_text(encoding="utf-8"))
    params[section][key] = value
    path.write_text(yaml.safe_dump(params), encoding="utf-8")
    shipped = sorted(p.name for p in (root / "data/emoji").iterdir())
    run = dvc(root, "repro", *stage, warm=warm)
    assert run.returncode != 0
    assert not list(root.rglob("PWNED"))
    assert "Traceback" not in run.stderr
    assert sorted(p.name for p in (root / "data/emoji").iterdir()) == shipped
    if not stage:
        told = f"error: params.yaml: {section}.{key}" in run.stderr
        if any(isinstance(each, dict) for each in value):  # DVC itself refuses a table
            told = "Cannot interpolate data of type 'dict'" in run.stderr
        assert told, run.stderr
        assert "pipeline.download" not in run.stdout
