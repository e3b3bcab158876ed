"""What a training stage does for its live view: start it, tell it the end, never fail for it."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from fedmvp.errors import ConfigError
from pipeline.support import live
from pipeline.support.live import live_view, live_wanted
from tests.paths import ROOT
from tests.unit.tracking.compare import active
from tests.unit.tracking.training import save_rounds

IDENTITY = {"setting": "s", "method": "m", "seed": 1, "fingerprint": "f" * 64, "params": {"a": 1}}


@pytest.fixture
def place(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change into the root, from where the live view's process still finds its code."""
    monkeypatch.chdir(root)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return root


def stand_in(monkeypatch: pytest.MonkeyPatch, code: str) -> list[Any]:
    """Start `code` instead of the live view; return what is started."""
    started: list[Any] = []
    popen = subprocess.Popen

    def start(command: list[str], **options: Any) -> Any:
        started.append(popen([command[0], "-c", code], **options))
        return started[-1]

    monkeypatch.setattr("pipeline.support.live.subprocess.Popen", start)
    return started


@pytest.mark.parametrize(("value", "wanted"), [("", False), ("off", False), ("live", True)])
def test_the_switch(value: str, wanted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FEDMVP_TRACKING", raising=False)
    assert not live_wanted()
    monkeypatch.setenv("FEDMVP_TRACKING", value)
    assert live_wanted() == wanted


@pytest.mark.parametrize("value", ["yes", "LIVE", "live "])
def test_any_other_value_is_an_error(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEDMVP_TRACKING", value)
    with pytest.raises(ConfigError, match=r"FEDMVP_TRACKING: unknown value.*use off or live"):
        live_wanted()


@pytest.mark.slow
def test_a_stage_refuses_before_it_computes(tmp_path: Path) -> None:
    """In an empty folder everything else would be missing."""
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.train", "base_to_new", "fedmvp", "1"],
        cwd=tmp_path,
        env={**os.environ, "FEDMVP_TRACKING": "on", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: FEDMVP_TRACKING: unknown value; got 'on'")


def test_off_starts_nothing(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "pipeline.support.live.subprocess.Popen", lambda *_, **__: pytest.fail("started")
    )
    with live_view(IDENTITY, ["f"], place, wanted=False):
        pass


@pytest.mark.parametrize(
    ("error", "status"), [(None, "FINISHED"), (ValueError, "FAILED"), (KeyboardInterrupt, "KILLED")]
)
def test_the_end_is_told(
    error: type[BaseException] | None, status: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "import sys; a = sys.stdin.readline(); open('told', 'w').write(a + sys.stdin.readline())"
    started = stand_in(monkeypatch, code)
    monkeypatch.setattr(live, "_PATIENCE_S", {status: 300.0})

    def train() -> None:
        with live_view(IDENTITY, ["f"], place / "scratch", wanted=True):
            if error:
                raise error

    if error:
        with pytest.raises(error):
            train()
    else:
        train()
    assert started[0].returncode == 0
    first, last = (place / "told").read_text(encoding="utf-8").splitlines()
    assert '"resumed": false' in first
    assert last.split()[0] == status


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import sys; sys.exit(7)", "exit code 7"),
        ("print('out of order\\nand more', flush=True); input(); input()", "out of order"),
        ("import time; time.sleep(600)", "no answer for 0 s"),
    ],
)
def test_trouble_is_one_line_and_training_succeeds(
    code: str,
    reason: str,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    errors = io.StringIO()
    monkeypatch.setattr(sys, "stderr", errors)
    monkeypatch.setattr(live, "_PATIENCE_S", dict.fromkeys(("FINISHED", "FAILED", "KILLED"), 0.1))
    started = stand_in(monkeypatch, code)
    with live_view(IDENTITY, ["f"], place, wanted=True):
        while "sleep" not in code and "warning" not in errors.getvalue():
            time.sleep(0.01)
    (line,) = errors.getvalue().splitlines()
    assert line.startswith("warning: MLflow does not show this training live")
    assert reason in line
    assert started[0].returncode is not None


@pytest.mark.slow
def test_a_whole_training_with_a_real_store(
    store: Any, place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(live, "_PATIENCE_S", {"FINISHED": 300.0})
    with live_view(IDENTITY, ["animals"], place / "scratch", wanted=True):
        save_rounds(place / "scratch", "animals", 3)
    out, err = capfd.readouterr()
    assert out + err == ""
    (run,) = active(store)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"a": "1", "setting": "s", "method": "m", "seed": "1"}
    history = store.get_metric_history(run.info.run_id, "train/loss/animals")
    assert [m.step for m in history] == [0, 1, 2]


@pytest.mark.slow
def test_a_dead_server_costs_one_line(
    place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    monkeypatch.setattr(live, "_PATIENCE_S", {"FINISHED": 300.0})
    monkeypatch.setenv("FEDMVP_TRACKING_URI", f"http://name:secret@{address}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with live_view(IDENTITY, ["animals"], place / "scratch", wanted=True):
        save_rounds(place / "scratch", "animals", 1)
    out, err = capfd.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("warning: MLflow does not show this training live (")
    assert f"http://{address}" in line
    assert "secret" not in line
