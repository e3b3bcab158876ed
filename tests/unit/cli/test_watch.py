"""``fedmvp watch``: what it reads of checkpoints, and which clients it marks."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from fedmvp.cli.watch_view import curve, pulls
from fedmvp.federation.checkpoint import Checkpoint, CheckpointFolder
from fedmvp.results.rounds import RoundRow
from fedmvp.results.running import describe, running
from tests.paths import ROOT
from tests.unit.cli.conftest import Run

SCRATCH = Path("scratch")


def row(index: int, client: str, accuracy: float | None, loss: float = 1.0) -> dict[str, Any]:
    return {
        "round": index,
        "client": client,
        "phase": "all",
        "images": 9,
        "loss": loss,
        "accuracy": accuracy,
        "learning_rate": 0.1,
        "bytes_up": 4,
        "bytes_down": 4,
    }


def train(fold: str, rows: list[dict[str, Any]], done: int, **more: Any) -> None:
    """Write what training leaves after a round."""
    state = Checkpoint(done, {"x": torch.zeros(1)}, rows=rows, **more)
    CheckpointFolder(SCRATCH / "abc" / fold).save(state)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FEDMVP_SCRATCH", str(SCRATCH))
    monkeypatch.setenv("COLUMNS", "120")
    return tmp_path


def test_without_a_training_it_says_so(place: Path, run: Run) -> None:
    assert "nothing is being trained" in run("watch", "--once").stdout


def test_a_client_that_pulls_the_mean_down_comes_first(place: Path, run: Run) -> None:
    describe(SCRATCH / "abc", "base_to_new fedmvp seed 1", 5, ["main", "other"])
    rows = [row(0, "good", 0.8), row(0, "bad", 0.7), row(1, "good", 0.9), row(1, "bad", 0.3)]
    failures = [{"client": "gone", "round_index": 1, "error": "no memory", "trace": ""}]
    train("main", rows, 2, failures=failures)
    shown = run("watch").stdout  # no terminal: once
    assert "base_to_new fedmvp seed 1" in shown
    assert "round 2/5" in shown
    assert "1 of 2 folds have no finished round" in shown
    bad, good = (
        next(line for line in shown.splitlines() if f" {name} " in line) for name in ("bad", "good")
    )
    assert shown.index(bad) < shown.index(good)
    # Mean 0.6; without `bad` it is 0.9, without `good` 0.3.
    assert "30.0 %" in bad and "70.0 %" in bad and "-30.0 ↓" in bad
    assert "+30.0" in good and "↓" not in good
    assert "gave no update" in shown


def test_more_rounds_are_seen_and_a_damaged_one_is_passed_over(place: Path) -> None:
    describe(SCRATCH / "abc", "a", 3, ["main"])
    train("main", [row(0, "c", 0.5)], 1)
    (training,) = running(SCRATCH)
    assert (training.folds["main"].done, training.rounds) == (1, 3)
    assert training.quiet_s < 100
    (SCRATCH / "abc/main/round-000002-0.safetensors").write_bytes(b"cut")
    (training,) = running(SCRATCH)
    assert training.folds["main"].done == 0
    (SCRATCH / "abc/training.json").write_text("{", encoding="utf-8")
    assert running(SCRATCH) == ()


def test_names_cannot_command_the_terminal(place: Path, run: Run) -> None:
    describe(SCRATCH / "abc", "a\x1b[2J", 3, ["main"])
    train("main", [row(0, "c\x1b]0;x\x07[red]", 0.5)], 1)
    shown = run("watch", "--once").stdout
    assert "\x1b" not in shown
    assert "\\x1b[2J" in shown


def test_pulls_and_curves() -> None:
    rows = [
        RoundRow("main", 0, name, "all", 1, accuracy=value)
        for name, value in (("a", 1.0), ("b", 0.5), ("c", 0.0), ("d", None))
    ]
    assert pulls(rows) == {"a": 0.25, "b": 0.0, "c": -0.25}
    assert pulls(rows[:1]) == {}
    assert curve([1.0, 1.0]) == "▁▁"
    assert curve([0.0, float("nan"), 1.0]) == "▁×█"
    assert len(curve(list(range(1000)))) == 48
    assert curve([]) == ""


def test_a_folder_that_is_not_there_is_one_line(place: Path, run: Run) -> None:
    result = run("watch", "--scratch", "absent", code=2)
    assert "absent" in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.slow
def test_in_a_terminal_it_follows_until_it_is_stopped(place: Path) -> None:
    describe(SCRATCH / "abc", "a run", 3, ["main"])
    train("main", [row(0, "c", 0.5)], 1)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from fedmvp.cli import app; app(prog_name='fedmvp')",
            "watch",
            "--every",
            "0.1",
        ],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm"},
    )
    os.close(theirs)
    timer = threading.Timer(120, process.kill)
    timer.start()
    seen, written = b"", False
    try:
        while b"round 2/3" not in seen:
            seen += os.read(ours, 4096)
            if b"round 1/3" in seen and not written:
                train("main", [row(0, "c", 0.5), row(1, "c", 0.6)], 2)
                written = True
        process.terminate()
        while True:
            try:
                if not os.read(ours, 4096):
                    break
            except OSError:
                break
        assert process.wait(30) != 0
    finally:
        timer.cancel()
        process.kill()
        process.wait()
        os.close(ours)
    assert written
