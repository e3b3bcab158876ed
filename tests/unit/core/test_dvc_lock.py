"""A damaged object of DVC's cache is restored as truth by DVC, and found by us."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from fedmvp.cli.health import Line, examine
from fedmvp.cli.health_deep import DEEP_CHECKS
from fedmvp.dvc_lock import locked_outputs, md5_output, require_as_recorded
from fedmvp.errors import DataError

STAGES = """stages:
  evaluate:
    cmd: mkdir -p results/s/m/seed1 && printf 0.5 > results/s/m/seed1/metrics.json
    deps: [weights]
    outs: [results/s/m/seed1/metrics.json]
  zero_shot:
    cmd: mkdir -p results/s/z/seed1 results/s/z/seed2 &&
      printf 1 > results/s/z/seed1/metrics.json && printf é > results/s/z/seed2/é.json
    deps: [weights]
    outs: [results/s/z]
"""
RESULT, FOLDER = Path("results/s/m/seed1"), Path("results/s/z/seed1")


def dvc(*words: str) -> str:
    command = [sys.executable, "-m", "dvc", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose two stages have run."""
    folder = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("SHELL", "/bin/sh")
        dvc("init", "--no-scm", "--quiet")
        (folder / "weights").write_text("w", encoding="utf-8")
        (folder / "dvc.yaml").write_text(STAGES, encoding="utf-8")
        dvc("repro", "--quiet")
    return folder


@pytest.fixture
def project(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(made)
    monkeypatch.setenv("SHELL", "/bin/sh")
    return made


def problems() -> list[Line]:
    return [line for line in examine(DEEP_CHECKS) if not line.ok]


@pytest.mark.slow
def test_hashes_are_dvcs(project: Path) -> None:
    outputs = locked_outputs(project)
    assert [output.path for output in outputs] == [f"{RESULT}/metrics.json", "results/s/z"]
    assert all(md5_output(project / output.path) == output.md5 for output in outputs)
    require_as_recorded(project, [RESULT, FOLDER, Path("results/never/made")])
    found = list(examine(DEEP_CHECKS))
    assert [line.detail for line in found] == [
        "4 objects of DVC's cache compared with their names",
        "2 outputs compared with dvc.lock",
    ]


@pytest.mark.slow
def test_a_damaged_object_is_found_and_the_hint_repairs_it(project: Path) -> None:
    (output, _) = locked_outputs(project)
    stored = Path(".dvc/cache/files/md5") / output.md5[:2] / output.md5[2:]
    stored.chmod(0o644)
    stored.write_text("0.9")
    stored.chmod(0o444)
    (RESULT / "metrics.json").unlink()
    # What makes this worth a check: DVC is content.
    assert "skipping run, checking out outputs" in dvc("repro")
    assert "up to date" in dvc("repro")
    assert (RESULT / "metrics.json").read_text() == "0.9"
    with pytest.raises(DataError, match=r"metrics.json: not what its stage wrote.*'evaluate'"):
        require_as_recorded(project, [RESULT])
    require_as_recorded(project, [FOLDER])
    checked = {line.check: line for line in problems()}
    assert set(checked) == {"outputs", "cache"}
    assert "differs from what stage evaluate wrote" in checked["outputs"].detail
    assert stored.name in checked["cache"].detail
    for command in re.findall(r"`([^`]+)`", checked["cache"].hint):
        words = shlex.split(command)
        subprocess.run([sys.executable, "-m", *words] if words[0] == "dvc" else words, check=True)
    assert (RESULT / "metrics.json").read_text() == "0.5"
    assert not problems()


@pytest.mark.slow
def test_a_file_changed_or_added_in_a_folder_is_found(project: Path) -> None:
    more = FOLDER / "more.json"
    more.write_text("{}")
    with pytest.raises(DataError, match="results/s/z: not what its stage wrote"):
        require_as_recorded(project, [FOLDER])
    assert [line.check for line in problems()] == ["outputs"]
    more.unlink()
    assert not problems()


def test_without_dvc_there_is_nothing_to_compare(tmp_path: Path) -> None:
    assert locked_outputs(tmp_path) == ()
    require_as_recorded(tmp_path, [tmp_path / "results"])
