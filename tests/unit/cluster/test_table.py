"""What is shown while a run goes on, on a terminal and elsewhere."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pytest
from rich.console import Console

from pipeline.cluster import table
from pipeline.cluster.execution import Ended, Running
from pipeline.cluster.outcome import Outcome
from pipeline.cluster.places import Place
from tests.unit.cluster.test_execution import DIAMOND, A, Scripted, new_run


def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, terminal: bool) -> str:
    """Return what is printed of a run with one stage at an end and one that goes on."""
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=100)
    monkeypatch.setattr(table, "Console", lambda stderr: console)
    run, log = new_run(tmp_path, DIAMOND), tmp_path / "log"
    log.write_text("base [b]x[/b] · round 3/16 · client 2/2 · loss 0.125\n", encoding="utf-8")
    running = Running("left", A, log, time.monotonic() - 75, 1)
    code = Ended("code", A, log, 1.5, Outcome(kind="ran"), False)
    right = Ended("right", Place("b"), log, 2.0, Outcome(kind="failed", message="[no]"), False)
    with table.open_view(run, Scripted([A])) as view:
        run.ended.append(code)
        view.ended(code)
        run.running["a"] = running
        view.started(running)
        view.refresh(run)
        view.ended(right)
    return out.getvalue()


def test_without_a_terminal_there_are_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = shown(tmp_path, monkeypatch, terminal=False).splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == [
        "code done in 1.5 s (1 of 4)",
        "left on a",
        f"right failed after 2.0 s: [no]; see {tmp_path / 'log'}",
    ]


def test_a_terminal_shows_rounds_and_what_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = shown(tmp_path, monkeypatch, terminal=True)
    for words in ("code done in 1.5 s", "left", "3/16", "0.125", "1 min 15 s", "1 of 4 stages"):
        assert words in text
    assert "left on a" not in text
