"""Two `dvc repro` at once, and reports built meanwhile: nobody sees or leaves half a result."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.outputs import files
from tests.pipeline.tiny import dvc, environment

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]

TRAIN_AGAIN = ("repro", "--force", "--no-run-cache", "--single-item", "train", "evaluate")


def start(root: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=root,
        env=environment(PYTHONPATH=str(root)),
        text=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    )


def test_two_repros_and_a_report_at_once(tiny_done: Path, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(tiny_done, root, symlinks=True)
    before = {path: path.read_bytes() for path in files(root)}
    repros = [start(root, "dvc", *TRAIN_AGAIN)]
    lock = root / ".dvc/tmp/lock"
    marks = (lock.stat().st_mtime_ns if lock.exists() else 0, time.monotonic() + 60)
    # The second asks once the first holds DVC's lock; in the same instant both may give way.
    while not lock.exists() or lock.stat().st_mtime_ns == marks[0]:
        assert time.monotonic() < marks[1], "DVC never took its lock"
        time.sleep(0.02)
    repros.append(start(root, "dvc", *TRAIN_AGAIN))
    reports = []
    while any(process.poll() is None for process in repros):
        report = start(root, "pipeline.report")
        reports.append((report, report.communicate(timeout=300)[1]))
    refusals = {process.communicate()[1]: process.returncode for process in repros}
    # DVC lets one of two through that want the same output; the other says so.
    assert 0 in refusals.values(), refusals
    for message, code in refusals.items():
        assert code == 0 or "lock" in message, message
    assert reports
    for report, message in reports:
        assert report.returncode in (0, 2), message
        assert "Traceback" not in message
        assert report.returncode == 0 or message.splitlines()[-1].startswith("error: ")
    again = dvc(root, "repro")
    assert again.returncode == 0, again.stderr
    assert json.loads(dvc(root, "status", "--json").stdout) == {}
    assert [path for path in before if path.read_bytes() != before[path]] == []
    assert not list(root.rglob("*.partial"))
