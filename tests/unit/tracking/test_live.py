"""FEDMVP_TRACKING=live: the run a sync completes, and nothing that touches training."""

from __future__ import annotations

import datetime
import io
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fedmvp.tracking.finished import FinishedRounds
from fedmvp.tracking.live import Ending, LiveRun, Training, follow
from fedmvp.tracking.projection import project
from fedmvp.tracking.store import SEEN_TAG
from fedmvp.tracking.sync import sync
from tests.unit.tracking.compare import active, assert_equal_to_files
from tests.unit.tracking.failing_server import FAILURES, SECRET, failing_server
from tests.unit.tracking.training import failure, save_rounds

Writer = Callable[..., Path]
BEGAN_MS = 1_700_000_000_000


@pytest.fixture
def training(root: Path, write_result: Writer) -> Training:
    """Return a training whose result, not written yet, is that of `write_result`."""
    run = project(write_result(seed=1))
    params = {
        "federation": {"learning_rate": 0.1, "rounds": 3},
        "tags": ["a", "b"],
        "none": None,
    }
    return Training(
        "base_to_new",
        "fedmvp",
        1,
        run.fingerprint,
        str(root / "scratch"),
        ["animals"],
        params,
        BEGAN_MS,
        resumed=False,
    )


def watch(
    root: Path, training: Training, done: int, status: str = "FINISHED", **more: Any
) -> list[str]:
    """Train some rounds in a minute while a live view follows; return its complaints."""
    save_rounds(Path(training.scratch), "animals", done, **more)
    ending = Ending(status, BEGAN_MS + 60_000)
    ending.happened.set()
    said: list[str] = []
    follow(root, training, ending, said.append)
    return said


@pytest.mark.slow
def test_sync_completes_the_run_of_a_training(store: Any, root: Path, training: Training) -> None:
    live, rounds = LiveRun(root, training), FinishedRounds(Path(training.scratch), ["animals"])
    live.update(rounds)
    (run,) = active(store)
    assert (run.info.status, run.data.metrics) == ("RUNNING", {})
    assert run.data.params["federation.learning_rate"] == "0.1"
    save_rounds(Path(training.scratch), "animals", 2)
    live.update(rounds)
    (run,) = active(store)
    assert [m.step for m in store.get_metric_history(run.info.run_id, "train/loss")] == [0, 1]
    assert run.data.metrics["train/phase/prompt"] == 1
    assert run.data.metrics["train/failures"] == 0
    save_rounds(Path(training.scratch), "animals", 3)
    ending = Ending("FINISHED", BEGAN_MS + 60_000)
    live.update(rounds, ending)
    sync(root)
    (completed,) = active(store)
    assert completed.info.run_id == run.info.run_id
    assert_equal_to_files(store, root)
    assert completed.info.end_time - completed.info.start_time == 60_000
    assert completed.data.tags["fedmvp.recorded"] == "live"
    assert completed.data.tags["training.seconds"] == "60.0"


@pytest.mark.slow
def test_a_resumed_training_continues_its_run(store: Any, root: Path, training: Training) -> None:
    assert watch(root, training, 2, "KILLED") == []
    (killed,) = active(store)
    assert (killed.info.status, killed.info.end_time) == ("KILLED", BEGAN_MS + 60_000)
    # Resumed at the checkpoint before the last round that was logged.
    again = Training(**{**vars(training), "began_ms": BEGAN_MS + 3_600_000, "resumed": True})
    live, rounds = LiveRun(root, again), FinishedRounds(Path(training.scratch), ["animals"])
    live.update(rounds)
    assert active(store)[0].info.status == "RUNNING"
    save_rounds(Path(training.scratch), "animals", 3)
    live.update(rounds, Ending("FINISHED", BEGAN_MS + 3_630_000))
    (run,) = active(store)
    assert run.info.run_id == killed.info.run_id
    history = store.get_metric_history(run.info.run_id, "train/loss/animals")
    assert [m.step for m in history] == [0, 1, 2]
    assert run.data.tags["training.seconds"] == "90.0"
    sync(root)
    assert_equal_to_files(store, root)
    assert active(store)[0].info.end_time == BEGAN_MS + 3_630_000


@pytest.mark.slow
def test_evaluated_anew_a_run_keeps_the_duration_of_its_training(
    store: Any, root: Path, training: Training, write_result: Writer
) -> None:
    watch(root, training, 3)
    sync(root)
    write_result(hm=0.75)
    sync(root)
    (run,) = active(store)
    assert run.info.end_time - run.info.start_time == 60_000
    assert run.data.tags["fedmvp.recorded"] == "live"
    assert_equal_to_files(store, root)


@pytest.mark.slow
def test_other_rounds_replace_a_run_and_equal_ones_leave_it(
    store: Any, root: Path, training: Training
) -> None:
    """The fingerprint is of parameters and data; another version of the code may differ."""
    sync(root)
    (whole,) = active(store)
    assert watch(root, training, 3) == []
    (run,) = active(store)
    assert (run.info.run_id, run.info.end_time) == (whole.info.run_id, whole.info.end_time)
    shutil.rmtree(training.scratch)
    assert watch(root, training, 2, "FAILED", seed=7) == []
    (run,) = active(store)
    assert run.info.run_id != whole.info.run_id
    assert run.info.status == "FAILED"
    assert len(store.get_metric_history(run.info.run_id, "train/loss")) == 2
    sync(root)
    assert_equal_to_files(store, root)


@pytest.mark.slow
def test_a_run_whose_training_is_gone_ends_as_killed(
    store: Any, root: Path, training: Training
) -> None:
    live = LiveRun(root, training)
    live.update(FinishedRounds(Path(training.scratch), ["animals"]))
    for path in (root / "results").rglob("metrics.json"):
        path.unlink()
    (run,) = active(store)
    assert sync(root).interrupted == ()  # it may be training still
    assert active(store)[0].info.status == "RUNNING"
    long_ago = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
    store.set_tag(run.info.run_id, SEEN_TAG, long_ago.isoformat())
    report = sync(root)
    assert report.interrupted == (run.info.run_name,)
    assert "1 interrupted" in str(report)
    (run,) = active(store)
    assert (run.info.status, run.info.end_time) == ("KILLED", int(long_ago.timestamp() * 1000))
    assert sync(root).interrupted == ()


@pytest.mark.parametrize(
    ("message", "status"),
    [("FINISHED 5\n", "FINISHED"), ("FAILED 5\n", "FAILED"), ("", "KILLED"), ("FINI", "KILLED")],
)
def test_without_a_last_message_training_was_killed(message: str, status: str) -> None:
    ending, before = Ending(), int(time.time() * 1000)
    ending.await_in(io.StringIO(message))
    assert (ending.status, ending.happened.is_set()) == (status, True)
    if message.endswith("\n"):
        assert ending.at_ms == 5
    else:  # noticed now
        assert before <= ending.at_ms <= time.time() * 1000


@pytest.mark.slow
def test_trouble_is_said_once_and_made_up_for(
    store: Any, root: Path, training: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that comes back gets the rounds it missed."""
    said: list[str] = []
    ending = Ending("FINISHED", BEGAN_MS + 60_000)
    tries = []

    def open_client(uri: str) -> Any:
        tries.append(uri)
        if len(tries) == 3:
            ending.happened.set()
            return store
        raise RuntimeError("https://name:secret@host refused")

    monkeypatch.setattr("fedmvp.tracking.live.open_client", open_client)
    save_rounds(Path(training.scratch), "animals", 3, failures=[failure()])
    follow(root, training, ending, said.append, poll_s=0.01, retry_s=0.01)
    assert said == ["RuntimeError"]
    (run,) = active(store)
    assert run.info.status == "FINISHED"
    assert len(store.get_metric_history(run.info.run_id, "train/loss")) == 3


@pytest.mark.slow
def test_a_closed_port_is_one_line_without_the_password(
    root: Path, training: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setenv("FEDMVP_TRACKING_URI", f"http://name:secret@127.0.0.1:{port}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    started = time.monotonic()
    (line,) = watch(root, training, 1)
    assert f"http://127.0.0.1:{port}" in line
    assert "secret" not in line
    assert time.monotonic() - started < 60


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["forbidden", "log-in page", "hung up"])
def test_a_server_that_fails_later_is_one_line_without_the_password(
    root: Path, training: Training, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with failing_server(FAILURES[kind], after=2) as uri:
        monkeypatch.setenv("FEDMVP_TRACKING_URI", uri)
        (line,) = watch(root, training, 1)
    assert line.startswith("the tracking store failed (")
    assert uri.rpartition("@")[2] in line
    assert SECRET not in line
    assert "<html" not in line
