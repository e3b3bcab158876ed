"""``fedmvp run``: hands its options to the pipeline of this folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from pipeline.cluster.request import Request
from tests.unit.cli.conftest import Run


class Replaced(BaseException):
    """What would have taken this process's place."""


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Change into a folder with a pipeline; note what is started instead of starting it."""
    (tmp_path / "pipeline/cluster").mkdir(parents=True)
    (tmp_path / "pipeline/cluster/__main__.py").touch()
    monkeypatch.chdir(tmp_path)

    def execv(program: str, words: list[str]) -> None:
        assert [program, *words[:3]] == [sys.executable, sys.executable, "-m", "pipeline.cluster"]
        raise Replaced(words[3])

    monkeypatch.setattr(os, "execv", execv)


@pytest.mark.usefixtures("pipeline")
@pytest.mark.parametrize(
    ("words", "request_"),
    [
        ((), Request()),
        (
            ("train", "evaluate@a", "-j", "3", "--gpus", "0,1", "--threads", "1"),
            Request(targets=["train", "evaluate@a"], jobs=3, gpus="0,1", threads=1),
        ),
        (("--memory", "7.5", "--dry-run"), Request(memory_gib=7.5, dry_run=True)),
    ],
)
def test_options_reach_the_pipeline(run: Run, words: tuple[str, ...], request_: Request) -> None:
    with pytest.raises(Replaced) as caught:
        run("run", *words)
    assert Request.model_validate_json(str(caught.value)) == request_


@pytest.mark.usefixtures("pipeline")
def test_tracebacks_are_asked_for_there_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEDMVP_DEBUG", "")
    with pytest.raises(Replaced):
        run("--debug", "run")
    assert os.environ["FEDMVP_DEBUG"] == "1"


def test_a_folder_without_a_pipeline_is_an_error(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("run", code=2)
    assert "there is no pipeline in this folder" in result.stderr


@pytest.mark.usefixtures("pipeline")
def test_no_jobs_is_an_error(run: Run) -> None:
    assert "--jobs" in run("run", "--jobs", "0", code=2).stderr
