"""Artifacts lie beside their database, wherever the project went, and come back when lost."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fedmvp.tracking.moved import folder_of, moved
from fedmvp.tracking.store import open_client, tracking_uri
from fedmvp.tracking.sync import sync
from tests.unit.tracking.compare import active, assert_equal_to_files

pytestmark = pytest.mark.slow
Writer = Callable[..., Path]


def contents(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def artifacts(root: Path) -> dict[str, Path]:
    """Return the folder of each run of `root`, by name."""
    runs = active(open_client(tracking_uri(root)))
    return {run.info.run_name: Path(folder_of(run.info.artifact_uri) or "") for run in runs}


def add_result(root: Path, template: Path, hm: str) -> None:
    """Change the only result of a project that may have moved."""
    path = root / template.relative_to(template.parents[3]) / "metrics.json"
    path.write_text(path.read_text(encoding="utf-8").replace("0.5", hm), encoding="utf-8")


@pytest.mark.parametrize("way", ["copied", "renamed", "without its artifacts"])
def test_a_moved_project_writes_into_itself(
    store: Any, root: Path, write_result: Writer, way: str
) -> None:
    result = write_result()
    sync(root)
    version = store.create_registered_model("m") and store.create_model_version(
        "m", active(store)[0].info.artifact_uri + "/result"
    )
    there = root.parent / "elsewhere 100%"
    if way == "renamed":
        root.rename(there)
    else:
        shutil.copytree(root, there)
    if way == "without its artifacts":
        shutil.rmtree(there / ".fedmvp/mlruns")
    before = contents(root / ".fedmvp/mlruns")
    assert moved(there / ".fedmvp/mlflow.db")
    add_result(there, result, "0.75")
    assert len(sync(there).updated) == 1
    assert contents(root / ".fedmvp/mlruns") == before
    if root.exists():
        assert active(store)[0].data.metrics["hm"] == 0.5
        assert artifacts(root).popitem()[1].is_relative_to(root)
    assert not moved(there / ".fedmvp/mlflow.db")
    (folder,) = artifacts(there).values()
    assert folder.is_relative_to(there / ".fedmvp/mlruns/fedmvp-tiny")
    assert b"0.75" in (folder / "result/metrics.json").read_bytes()
    client = open_client(tracking_uri(there))
    assert_equal_to_files(client, there)
    source = folder_of(client.get_model_version("m", version.version).source)
    assert source is not None
    assert source.is_relative_to(there / ".fedmvp/mlruns")
    assert len(sync(there).unchanged) == 1


def test_a_sync_with_nothing_new_brings_artifacts_home(
    store: Any, root: Path, write_result: Writer
) -> None:
    write_result()
    sync(root)
    there = root.rename(root.parent / "elsewhere")
    assert len(sync(there).unchanged) == 1
    (folder,) = artifacts(there).values()
    assert (folder / "result/run.json").is_file()
    assert folder.is_relative_to(there)
    assert not root.exists()


def test_artifacts_lost_in_a_move_are_written_to_the_new_place(
    store: Any, root: Path, write_result: Writer
) -> None:
    """Also by a process that wrote to the old one."""
    write_result()
    sync(root)
    there = root.rename(root.parent / "elsewhere")
    shutil.rmtree(there / ".fedmvp/mlruns")
    assert len(sync(there).updated) == 1
    assert not root.exists()
    assert_equal_to_files(open_client(tracking_uri(there)), there)


def test_a_place_of_ones_own_choice_stays(
    store: Any, root: Path, write_result: Writer, tmp_path: Path
) -> None:
    chosen = (tmp_path / "big disk").as_uri()
    store.create_experiment("fedmvp-tiny", artifact_location=chosen)
    write_result()
    sync(root)
    assert not moved(root / ".fedmvp/mlflow.db")
    (folder,) = artifacts(root).values()
    assert folder.is_relative_to(tmp_path / "big disk")


@pytest.mark.parametrize(
    "lost", ["", "*", "*/artifacts/result/metrics.json", "*/artifacts/prompts"]
)
def test_lost_artifacts_come_back(store: Any, root: Path, write_result: Writer, lost: str) -> None:
    write_result()
    sync(root)
    home = root / ".fedmvp/mlruns"
    before = contents(home)
    for path in list(home.glob(f"fedmvp-tiny/{lost}")) if lost else [home]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    assert contents(home) != before
    report = sync(root)
    assert (len(report.updated), len(report.created)) == (1, 0)
    assert contents(home) == before
    assert_equal_to_files(store, root)
    assert len(sync(root).unchanged) == 1


def test_a_project_whose_last_write_was_cut_short_has_moved_as_well(
    store: Any, root: Path, write_result: Writer
) -> None:
    write_result()
    sync(root)
    there = root.parent / "elsewhere"
    database = root / ".fedmvp/mlflow.db"
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as writer:
        writer.execute("PRAGMA synchronous = OFF")
        writer.execute("BEGIN")
        writer.execute("UPDATE runs SET name = 'half written'")
        assert database.with_name("mlflow.db-journal").is_file()
        shutil.copytree(root, there)
    assert moved(there / ".fedmvp/mlflow.db")
    assert len(sync(there).unchanged) == 1
    assert artifacts(there).popitem()[1].is_relative_to(there)


def test_nothing_writes_to_the_store_after_a_sync(
    store: Any, root: Path, write_result: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow links new prompts to the experiment of the process, in threads of its own."""
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "0")
    monkeypatch.chdir(root)  # MLflow makes its default store in the working folder
    write_result()
    assert sync(root).prompts
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if "prompt" in name]
    database = root / ".fedmvp/mlflow.db"
    with contextlib.closing(sqlite3.connect(database)) as reader:
        linked = "SELECT count(*) FROM registered_model_tags WHERE key LIKE '%experiment_ids'"
        assert reader.execute(linked).fetchone()[0]
