"""How a stage's process ends: with nothing lost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

_STAGE = """
import atexit, threading, time
from pathlib import Path
from pipeline.support.stage import run_stage

def slow():
    time.sleep(0.3)
    Path("thread").touch()

def main():
    print("a line that stays in the buffer of a pipe")
    atexit.register(Path("handler").touch)
    {work}

if __name__ == "__main__":
    run_stage(main)
"""


def _run(
    folder: Path, work: str, *options: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    (folder / "toy_stage.py").write_text(_STAGE.format(work=work), encoding="utf-8")
    return subprocess.run(
        [sys.executable, *options, "-m", "toy_stage"],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_what_a_stage_printed_and_registered_is_not_lost(tmp_path: Path) -> None:
    ended = _run(tmp_path, "pass")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == "a line that stays in the buffer of a pipe\n"
    assert (tmp_path / "handler").exists()


def test_an_unknown_shortcut_is_refused_before_the_work(tmp_path: Path) -> None:
    ended = _run(tmp_path, "print('working')", FEDMVP_PLAIN="quick")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "FEDMVP_PLAIN" in ended.stderr


def test_a_thread_at_work_is_waited_for(tmp_path: Path) -> None:
    work = "threading.Thread(target=slow).start()"
    ended = _run(tmp_path, work)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert (tmp_path / "thread").exists()
    assert (tmp_path / "handler").exists()


def test_a_profiler_gets_its_profile(tmp_path: Path) -> None:
    ended = _run(tmp_path, "pass", "-m", "cProfile", "-o", "profile.out")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert (tmp_path / "profile.out").stat().st_size > 0


@pytest.mark.parametrize(
    ("work", "code"),
    [("raise SystemExit(3)", 3), ("raise ValueError('boom')", 1), ("open('nowhere/file')", 2)],
)
def test_a_stage_that_failed_says_so(tmp_path: Path, work: str, code: int) -> None:
    ended = _run(tmp_path, work)
    assert ended.returncode == code
    assert (tmp_path / "handler").exists()
