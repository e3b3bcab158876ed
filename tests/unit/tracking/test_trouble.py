"""Trouble after the store was opened: one line, no password, exit code 2, and the results stay."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fedmvp.errors import ConfigError
from fedmvp.tracking.model import log_model
from fedmvp.tracking.store import open_client, tracking_uri
from fedmvp.tracking.sync import sync
from fedmvp.tracking.trouble import store_trouble
from fedmvp.tracking.ui import ui_command, ui_environment
from tests.unit.tracking.failing_server import FAILURES, SECRET, failing_server

pytestmark = pytest.mark.slow
Writer = Callable[..., Path]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")


def contents(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


def assert_one_line(error: ConfigError) -> None:
    text = str(error)
    assert "\n" not in text
    assert SECRET not in text
    assert "<html" not in text
    assert "results are files and are safe" in text
    assert SECRET not in repr(error.__cause__)


@pytest.mark.parametrize("kind", FAILURES)
@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_server_that_fails_is_one_line(
    root: Path, write_result: Writer, kind: str, after: int
) -> None:
    write_result()
    before = contents(root / "results")
    with failing_server(FAILURES[kind], after=after) as uri, pytest.raises(ConfigError) as caught:
        sync(root, uri)
    assert_one_line(caught.value)
    # JSON without what was asked for is an empty store until something is written.
    assert ("cannot be opened" in str(caught.value)) == (after == 0 and kind != "other JSON")
    assert contents(root / "results") == before


@pytest.mark.parametrize("after", [2, 4, 5, 6, 7])
def test_wherever_a_sync_breaks_off(root: Path, write_result: Writer, after: int) -> None:
    write_result()
    fail = FAILURES["forbidden"]
    with failing_server(fail, after=after) as uri, pytest.raises(ConfigError) as caught:
        sync(root, uri)
    assert_one_line(caught.value)
    assert "PERMISSION_DENIED" in str(caught.value)
    assert "ask for access" in str(caught.value)


@pytest.mark.parametrize("command", ["sync", "ui", "stage"])
def test_commands_and_the_stage_end_with_two(
    root: Path, write_result: Writer, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a process of its own, for what libraries log counts, too."""
    write_result()
    words = [Path(sys.executable).with_name("fedmvp"), "track", command]
    with failing_server(FAILURES["forbidden page"], after=1) as uri:
        monkeypatch.setenv("FEDMVP_TRACKING_URI", uri)
        done = subprocess.run(
            [sys.executable, "-m", "pipeline.track"] if command == "stage" else words,
            cwd=root,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: FEDMVP_TRACKING_URI: ")
    assert SECRET not in line
    assert "hint: " in line


@pytest.mark.parametrize("table", ["runs", "tags", "experiments"])
def test_a_dropped_table(store: Any, root: Path, write_result: Writer, table: str) -> None:
    write_result()
    sync(root)
    write_result(seed=2)
    with sqlite3.connect(root / ".fedmvp/mlflow.db") as database:
        database.execute("PRAGMA foreign_keys = OFF")
        database.execute(f"DROP TABLE {table}")
    with pytest.raises(ConfigError, match=f"no such table: {table}") as caught:
        sync(root)
    assert "\n" not in str(caught.value)
    assert "delete" not in str(caught.value)
    with pytest.raises(ConfigError, match="no such table"):
        store.create_run("1", tags={"a": "b"})


def test_another_version_of_the_schema_keeps_its_reason(
    root: Path, write_result: Writer, empty_store: Path, tmp_path: Path
) -> None:
    write_result()
    shared = tmp_path / "shared.db"
    shutil.copy(empty_store, shared)
    with sqlite3.connect(shared) as database:
        database.execute("UPDATE alembic_version SET version_num = '0123456789ab'")
    for attempt in (sync, ui_environment):
        with pytest.raises(ConfigError, match="mlflow db upgrade") as caught:
            attempt(root, f"sqlite:///{shared}")
        assert caught.value.where == "--store"
        assert "delete" not in str(caught.value)
        assert "back the database up" in caught.value.hint


def test_a_database_that_is_none_is_told_at_once(
    root: Path, write_result: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow alone would try ten times, for two minutes."""
    write_result()
    (tmp_path / "notes.db").write_text("not a database at all " * 100)
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    for path, reason in (("notes.db", "not a database"), ("", "unable to open database file")):
        with pytest.raises(ConfigError, match=reason):
            open_client(f"sqlite:///{tmp_path / path}")
    assert waited == []


@pytest.mark.parametrize("name", ["100%", "a%20b", "what?", "a#b", "%zz?"])
def test_any_folder_may_hold_the_project(root: Path, write_result: Writer, name: str) -> None:
    write_result()
    project = root.rename(root.parent / name)
    assert len(sync(project).created) == 1
    assert (project / ".fedmvp/mlflow.db").is_file()
    assert {path.name for path in project.parent.iterdir()} == {name}
    run = open_client(tracking_uri(project)).search_runs(["1"])[0]
    folder = project / ".fedmvp/mlruns/fedmvp-tiny" / run.info.run_id / "artifacts/result"
    assert (folder / "run.json").is_file()
    assert len(sync(project).unchanged) == 1


def test_the_pages_command_line_shows_no_password(store: Any, root: Path) -> None:
    uri = f"{tracking_uri(root)}?password={SECRET}"
    assert SECRET not in " ".join(ui_command(root, uri=uri))
    environment = ui_environment(root)
    assert environment["MLFLOW_BACKEND_STORE_URI"] == tracking_uri(root)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        (f"http://alice:{SECRET}@host", f"GET http://alice:{SECRET}@host/api: refused"),
        ("http://alice:p%40ss%2Fw@host", "user alice, password p@ss/w, or p%40ss%2Fw"),
        (f"postgresql://a:b@host/db?password={SECRET}", f"password={SECRET}"),
        ("sqlite:////x.db", f"Max retries: https://bob:{SECRET}@proxy:3128/"),
    ],
)
def test_no_reason_holds_a_secret(uri: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught, store_trouble(uri):
        raise RuntimeError(message)
    text = str(caught.value)
    assert not any(word in text for word in (SECRET, "p@ss", "p%40ss"))


def test_logging_a_model(
    store: Any, root: Path, write_result: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow's own functions, which take no client, fail in one line, too."""
    result = write_result()

    def bundle(folder: Path, *_: object, **__: object) -> Any:
        for name in ("model.json", "weights.safetensors"):
            (folder / name).write_text("{}", encoding="utf-8")
        return SimpleNamespace(default="animals", backbone=SimpleNamespace(model_dump=dict))

    def fail(*_: object, **__: object) -> None:
        raise OSError(f"403 Client Error: Forbidden for url: http://alice:{SECRET}@host/api")

    monkeypatch.setattr("fedmvp.prediction.bundle.write_bundle", bundle)
    monkeypatch.setattr("mlflow.start_run", fail)
    before = contents(root / "results")
    with pytest.raises(ConfigError, match="403 Client Error") as caught:
        log_model(root, result)
    assert SECRET not in str(caught.value)
    assert "ask for access" in caught.value.hint
    assert contents(root / "results") == before


def test_our_own_errors_pass() -> None:
    ours = ConfigError("wrong", where="here", hint="right it")
    with pytest.raises(ConfigError) as caught, store_trouble("http://host"):
        raise ours
    assert caught.value is ours
