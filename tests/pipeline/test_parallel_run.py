"""`fedmvp run`: what `dvc repro` leaves, whatever fails, is killed or stopped on the way."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from pathlib import Path

import pytest

from tests.pipeline.tiny import dvc
from tests.pipeline.toy_project import alive, calls, run, start, until, write_project

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "a project"
    write_project(root)
    return root


def trap(root: Path, name: str) -> Path:
    path = root / "traps" / name
    path.touch()
    return path


def outputs(root: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in (*root.glob("*.out"), root / "dvc.lock")}


def clean(root: Path) -> bool:
    from dvc.repo import Repo  # a process of its own would import it for seconds

    with contextlib.chdir(root), Repo() as repo:
        return bool(repo.status() == {})


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What `dvc repro` leaves."""
    root = tmp_path_factory.mktemp("expected") / "a project"
    write_project(root)
    done = dvc(root, "repro")
    assert done.returncode == 0, done.stderr
    return outputs(root)


def test_it_leaves_what_dvc_repro_leaves(project: Path, expected: dict[str, str]) -> None:
    done = run(project, '{"jobs": 3}')
    assert done.returncode == 0, done.stderr
    assert outputs(project) == expected
    assert clean(project)
    assert "9 stages in" in done.stdout
    assert "9 ran" in done.stdout
    again = run(project)
    assert again.stdout == "everything is up to date\n"
    assert all(
        len(calls(project, name.removesuffix(".out"))) == 1
        for name in expected
        if "." in name and name != "dvc.lock"
    )


def test_stages_run_at_once_and_a_target_takes_what_it_needs(project: Path) -> None:
    traps = [trap(project, "train-a.wait"), trap(project, "train-b.wait")]
    process = start(project, '{"jobs": 2, "targets": ["evaluate-a", "evaluate-b"]}')
    until(lambda: all(calls(project, name) for name in ("train-a", "train-b")))
    for path in traps:
        path.unlink()
    out, error = process.communicate(timeout=240)
    assert process.returncode == 0, error
    assert "6 ran" in out
    assert not calls(project, "train-c")


def test_what_dvc_has_in_its_cache_is_restored(project: Path, expected: dict[str, str]) -> None:
    assert run(project).returncode == 0
    for path in (*project.glob("*.out"), project / "dvc.lock"):
        path.unlink()
    done = run(project)
    assert "9 restored from DVC's cache" in done.stdout
    assert outputs(project) == expected
    assert len(calls(project, "train-a")) == 1


def test_a_stage_that_comes_out_as_it_was_runs_nothing_else(project: Path) -> None:
    assert run(project).returncode == 0
    path = project / "dvc.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("stage.py data", "stage.py  data", 1), encoding="utf-8")
    done = run(project)
    assert "1 ran, 7 turned out to be up to date" in done.stdout
    assert clean(project)


def test_a_failure_leaves_out_only_what_needs_it(project: Path, expected: dict[str, str]) -> None:
    path = trap(project, "train-b.fail")
    failed = run(project)
    assert failed.returncode == 2
    (line,) = [x for x in failed.stderr.splitlines() if x.startswith("error: ")]
    assert line.startswith("error: train-b: failed: train-b: cannot")
    assert ".fedmvp/run/logs/train-b.log" in line
    assert "6 ran, 1 failed, 2 left out" in failed.stdout
    assert len(calls(project, "train-b")) == 1  # it refused; asking again is no use
    assert (project / "evaluate-c.out").exists()
    path.unlink()
    assert run(project).returncode == 0
    assert (
        outputs(project).items() >= {k: v for k, v in expected.items() if k != "dvc.lock"}.items()
    )
    assert len(calls(project, "train-a")) == 1


@pytest.mark.minutes
def test_what_is_killed_is_tried_again_twice(project: Path, expected: dict[str, str]) -> None:
    trap(project, "train-a.kill-once")
    path = trap(project, "train-b.kill")
    failed = run(project)
    assert failed.returncode == 2
    assert len(calls(project, "train-a")) == 2
    assert len(calls(project, "train-b")) == 3
    assert "train-b: failed" in failed.stderr
    assert re.search(r"exited with (-9|137)", failed.stderr)  # as the shell says it
    path.unlink()
    assert run(project).returncode == 0
    assert clean(project)
    assert outputs(project)["report.out"] == expected["report.out"]


@pytest.mark.minutes
def test_a_worker_that_is_killed_takes_its_stage_with_it(
    project: Path, expected: dict[str, str]
) -> None:
    path = trap(project, "train-a.wait")
    process = start(project, '{"jobs": 2}')
    until(lambda: bool(calls(project, "train-a")))
    (stage,) = calls(project, "train-a")
    worker = os.getpgid(stage)
    os.kill(worker, signal.SIGKILL)
    until(lambda: len(calls(project, "train-a")) == 2)
    assert not alive(stage)
    path.unlink()
    _, error = process.communicate(timeout=240)
    assert process.returncode == 0, error
    assert "was killed and is started again" in error
    assert outputs(project) == expected
    assert clean(project)


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.minutes)]
)
def test_a_stop_keeps_what_is_done(
    project: Path, expected: dict[str, str], number: signal.Signals
) -> None:
    traps = [trap(project, "train-a.wait"), trap(project, "train-b.wait")]
    process = start(project, '{"jobs": 2}')
    until(lambda: all(calls(project, name) for name in ("train-a", "train-b")))
    process.send_signal(number)
    _, error = process.communicate(timeout=240)
    assert process.returncode == 128 + number
    assert f"stopped by {number.name}" in error
    assert "Traceback" not in error
    assert not any(alive(p) for name in ("train-a", "train-b") for p in calls(project, name))
    for path in traps:
        path.unlink()
    assert run(project).returncode == 0
    assert outputs(project) == expected
    assert len(calls(project, "data")) == 1


def test_a_driver_that_is_killed_loses_nothing(project: Path, expected: dict[str, str]) -> None:
    path = trap(project, "train-a.wait")
    process = start(project, '{"jobs": 2}')
    until(lambda: (project / "evaluate-c.out").exists())
    process.kill()
    process.communicate()
    until(lambda: not alive(calls(project, "train-a")[-1]))
    path.unlink()
    done = run(project)
    assert done.returncode == 0, done.stderr
    assert {k: v for k, v in outputs(project).items() if k != "dvc.lock"} == {
        k: v for k, v in expected.items() if k != "dvc.lock"
    }
    assert clean(project)
    assert len(calls(project, "evaluate-b")) == 1


def test_one_run_at_a_time(project: Path) -> None:
    path = trap(project, "train-a.wait")
    process = start(project, '{"jobs": 2}')
    until(lambda: bool(calls(project, "train-a")))
    second = run(project)
    assert second.returncode == 2
    assert "another run is active in this checkout" in second.stderr
    path.unlink()
    assert process.wait(240) == 0
    process.communicate()


def test_a_dry_run_starts_nothing(project: Path) -> None:
    done = run(project, '{"jobs": 2, "dry_run": true}')
    assert done.returncode == 0, done.stderr
    assert "9 stages: 0 up to date, 0 in DVC's cache, 1 to run" in done.stdout
    assert "cpu 2: " in done.stdout
    assert "nothing similar to 9 stages ran here yet" in done.stdout
    assert not (project / "calls").exists()
    assert not (project / "dvc.lock").exists()


def test_an_unknown_target_is_an_error(project: Path) -> None:
    done = run(project, '{"targets": ["evaluat-a"]}')
    assert done.returncode == 2
    assert "unknown target; got 'evaluat-a'; hint: did you mean 'evaluate-a'" in done.stderr
    assert not (project / "calls").exists()
