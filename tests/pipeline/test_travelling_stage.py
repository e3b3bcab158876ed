"""A stage that runs on another disk: what goes there, and what comes back, through a DVC remote."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedmvp.errors import ConfigError
from pipeline.cluster.outcome import Outcome
from pipeline.cluster.reproduce import open_repository, reproduce
from pipeline.cluster.travel import Remote, Transfer, source_files
from pipeline.cluster.worker import Order
from tests.paths import ROOT
from tests.pipeline.remotes import KINDS, add_folder, add_s3, opened_remote, s3_server
from tests.pipeline.tiny import dvc, environment
from tests.pipeline.toy_project import calls, write_project

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]

GRAPH = {"code": (), "train-a": ("code",), "evaluate-a": ("train-a", "code")}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose first stage is done."""
    root = tmp_path / "here"
    write_project(root, GRAPH, results=("train-a", "evaluate-a"))
    monkeypatch.chdir(root)
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    with open_repository(root) as repo:
        assert reproduce(repo, "code").kind == "ran"
    return root


@pytest.fixture(params=KINDS)
def remote(request: pytest.FixtureRequest, project: Path) -> Iterator[str]:
    """The project's remote, of every kind."""
    with opened_remote(request.param, project) as name:
        yield name


def work_elsewhere(folder: Path, stage: str, transfer: Transfer) -> Outcome:
    """Run a stage with a worker in a folder, as another machine would."""
    with subprocess.Popen(
        [sys.executable, "-m", "pipeline.cluster.worker"],
        cwd=folder,
        env=environment(PYTHONPATH=str(ROOT)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # where its orders end while it works, it ends its group
    ) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        order = Order(stage=stage, log="log", transfer=transfer)
        print(order.model_dump_json(), file=worker.stdin, flush=True)
        answer = worker.stdout.readline()
        worker.stdin.close()
    return Outcome.model_validate_json(answer)


def unpack(root: Path, folder: Path) -> Path:
    for name, content in source_files(root).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_it_comes_back_as_if_it_had_run_here(project: Path, remote: str, tmp_path: Path) -> None:
    there = unpack(project, tmp_path / "there")
    assert not (there / "code.out").exists()
    assert not (there / "dvc.lock").exists()
    assert not (there / ".dvc/config.local").exists()  # who may use the remote is told apart
    with open_repository(project) as repo:
        store = Remote(repo, remote)
        for stage in ("train-a", "evaluate-a"):
            outcome = work_elsewhere(there, stage, store.transfer(GRAPH[stage]))
            assert outcome.kind == "ran", (outcome, (there / "log").read_text())
            assert outcome.locked is not None
            store.bring_back(stage, outcome.locked)
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
    add_folder(project)
    (project.parent / "file").touch()
    add_folder(project, "blocked", "../file/below")
    with open_repository(project) as repo:
        with pytest.raises(ConfigError, match=r"unknown remote.*did you mean 'store'"):
            Remote(repo, "stor")
        with pytest.raises(ConfigError, match="the remote cannot be used"):
            Remote(repo, "blocked")


def test_a_bucket_that_is_not_there_is_not_made(project: Path) -> None:
    with s3_server() as endpoint:
        add_s3(project, endpoint, "misspelled", bucket="experimens")
        with open_repository(project) as repo:
            for _ in range(2):
                with pytest.raises(ConfigError, match="bucket experimens does not exist") as caught:
                    Remote(repo, "misspelled")
    assert "--remote" in str(caught.value)


def test_a_kind_of_remote_whose_package_is_not_installed(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "dvc_s3", None)
    add_s3(project, "http://127.0.0.1:9")
    with open_repository(project) as repo, pytest.raises(ConfigError, match="cannot be used"):
        Remote(repo, "store")
