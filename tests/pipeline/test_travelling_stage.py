"""A stage that runs on another disk: what goes there, and what comes back, through a DVC remote."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from fedmvp.errors import ConfigError
from pipeline.cluster.outcome import Outcome
from pipeline.cluster.reproduce import open_repository, reproduce
from pipeline.cluster.travel import Remote, Transfer, source_archive
from pipeline.cluster.worker import Order
from tests.paths import ROOT
from tests.pipeline.tiny import dvc, environment
from tests.pipeline.toy_project import calls, write_project

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]

GRAPH = {"code": (), "train-a": ("code",), "evaluate-a": ("train-a", "code")}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a remote; its first stage is done."""
    root = tmp_path / "here"
    write_project(root, GRAPH, results=("train-a", "evaluate-a"))
    added = dvc(root, "remote", "add", "store", "../store")
    assert added.returncode == 0, added.stderr
    monkeypatch.chdir(root)
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    with open_repository(root) as repo:
        assert reproduce(repo, "code").kind == "ran"
    return root


def work_elsewhere(folder: Path, *orders: tuple[str, Transfer]) -> list[Outcome]:
    """Run a worker in a folder, as another machine would."""
    lines = [Order(stage=s, log="log", transfer=t).model_dump_json() for s, t in orders]
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cluster.worker"],
        cwd=folder,
        env=environment(PYTHONPATH=str(ROOT)),
        input="".join(f"{line}\n" for line in lines),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, -15), done.stderr  # its orders end while it works
    return [Outcome.model_validate_json(line) for line in done.stdout.splitlines()]


def unpack(root: Path, folder: Path) -> Path:
    with tarfile.open(fileobj=io.BytesIO(source_archive(root))) as tar:
        tar.extractall(folder, filter="data")
    return folder


def test_it_comes_back_as_if_it_had_run_here(project: Path, tmp_path: Path) -> None:
    there = unpack(project, tmp_path / "there")
    assert not (there / "code.out").exists()
    assert not (there / "dvc.lock").exists()
    with open_repository(project) as repo:
        remote = Remote(repo, "store")
        for stage in ("train-a", "evaluate-a"):
            (outcome,) = work_elsewhere(there, (stage, remote.transfer(GRAPH[stage])))
            assert outcome.kind == "ran", (outcome, (there / "log").read_text())
            assert outcome.locked is not None
            remote.bring_back(stage, outcome.locked)
    assert calls(there, "train-a")
    assert not calls(project, "train-a")
    assert json.loads(dvc(project, "status", "--json").stdout) == {}
    # What `dvc repro` leaves: files, dvc.lock, and a cache from which it restores them.
    plain = tmp_path / "plain"
    write_project(plain, GRAPH, results=("train-a", "evaluate-a"))
    assert dvc(plain, "repro").returncode == 0
    for name in ("results/train-a.out", "results/evaluate-a.out", "dvc.lock"):
        assert (project / name).read_bytes() == (plain / name).read_bytes()
    (project / "dvc.lock").unlink()
    (project / "results/train-a.out").unlink()
    again = dvc(project, "repro")
    assert "Running stage" not in again.stdout, again.stdout


def test_a_remote_that_is_not_there(project: Path) -> None:
    with (
        open_repository(project) as repo,
        pytest.raises(ConfigError, match=r"unknown remote.*did you mean 'store'"),
    ):
        Remote(repo, "stor")
    (project.parent / "file").touch()
    added = dvc(project, "remote", "add", "blocked", "../file/below")
    assert added.returncode == 0, added.stderr
    with (
        open_repository(project) as repo,
        pytest.raises(ConfigError, match="the remote cannot be used"),
    ):
        Remote(repo, "blocked")
