"""The real stages, from data to MLflow, on a tiny model: what DVC is told is what they do."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fedmvp.results.key import result_folders
from fedmvp.tracking.projection import project
from fedmvp.tracking.store import recorded_runs, tracking_uri
from tests.outputs import files
from tests.pipeline.tiny import dvc, environment

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]


def test_every_output_is_there_and_nothing_else_is_dirty(tiny_done: Path) -> None:
    status = dvc(tiny_done, "status", "--json")
    assert json.loads(status.stdout) == {}
    names = {path.relative_to(tiny_done).as_posix() for path in files(tiny_done)}
    run = "results/base_to_new/fedmvp/seed1"
    assert {
        "report/index.html",
        "report/metrics.json",
        "report/tracking.json",
        "data/partitions/base_to_new.json",
        f"{run}/rounds.csv",
        f"{run}/weights.safetensors",
        f"{run}/metrics.json",
        f"{run}/predictions.csv",
        "results/base_to_new/zero_shot/seed1/metrics.json",
        "results/base_to_new/zero_shot/seed1/predictions.csv",
    } <= names
    # All that a stage leaves in a result folder is declared.
    written = {p.relative_to(tiny_done).as_posix() for p in (tiny_done / "results").rglob("*.*")}
    assert written <= names
    ignored = subprocess.run(
        ["git", "status", "--porcelain", "--untracked-files=all"],
        cwd=tiny_done,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    data = ("attributes", "backbone", "code", "manifests", "partitions")
    made = ("results/", *(f"data/{name}" for name in data))
    assert not [line for line in ignored.splitlines() if line[3:].strip('"').startswith(made)]


def test_clients_in_several_processes_give_the_same_bytes(tiny_done: Path, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(tiny_done, root, symlinks=True)
    shutil.rmtree(root / "results")
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.train", "base_to_new", "fedmvp", "1"],
        cwd=root,
        env=environment(FEDMVP_DEVICE="cpu, cpu"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    folder = "results/base_to_new/fedmvp/seed1"
    found = {path.name: path.read_bytes() for path in (root / folder).iterdir()}
    assert len(found) == 4
    assert found == {name: (tiny_done / folder / name).read_bytes() for name in found}


@pytest.mark.minutes  # .ci/run does so with the default profile
def test_two_stages_at_once_leave_the_same_bytes(
    tiny_done: Path, tiny_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FEDMVP_TRACKING_URI", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    root = tmp_path / tiny_project.name
    shutil.copytree(tiny_project, root, symlinks=True)
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cluster", '{"jobs": 2}'],
        cwd=root,
        env=environment(PYTHONPATH=str(root)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = {path.relative_to(root): path.read_bytes() for path in files(root)}
    assert found == {path.relative_to(tiny_done): path.read_bytes() for path in files(tiny_done)}
    assert (root / "dvc.lock").read_bytes() == (tiny_done / "dvc.lock").read_bytes()
    assert json.loads(dvc(root, "status", "--json").stdout) == {}
    # The stage `track` has synced them.
    runs = recorded_runs(tracking_uri(root)) or {}
    assert len(runs) == 2


def test_a_second_repro_runs_nothing(tiny_done: Path) -> None:
    again = dvc(tiny_done, "repro")
    assert again.returncode == 0
    assert "Running stage" not in again.stdout


def test_every_result_is_in_mlflow(tiny_done: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FEDMVP_TRACKING_URI", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    results = [project(folder) for folder in result_folders(tiny_done / "results")]
    assert len(results) == 2
    recorded = recorded_runs(tracking_uri(tiny_done)) or {}
    contents = {fingerprint: run.content for fingerprint, run in recorded.items()}
    assert contents == {p.fingerprint: p.content for p in results}
    assert all(run.whole() for run in recorded.values())


def test_training_again_gives_the_same_bytes(tiny_done: Path) -> None:
    """Whatever the hash seed, the locale, the time zone, the folders and other tools' threads."""
    before = {path: path.read_bytes() for path in files(tiny_done)}
    stages = ("download", "attributes", "partition", "train", "evaluate", "zero_shot", "report")
    beside = tiny_done.parent
    again = dvc(
        tiny_done,
        "repro",
        "--force",
        "--no-run-cache",
        "--single-item",
        *(f"../dvc.yaml:{stage}" for stage in stages),
        cwd=tiny_done / "data",
        PYTHONHASHSEED="7",
        TZ="Asia/Kathmandu",
        LC_ALL="C",
        OMP_NUM_THREADS="1",
        FEDMVP_CACHE=str(beside / "cache"),
        FEDMVP_SCRATCH=str(beside / "scratch"),
    )
    assert again.returncode == 0, again.stdout + again.stderr
    changed = [str(p) for p, content in before.items() if p.read_bytes() != content]
    assert not changed


def test_a_misspelt_parameter_is_one_clear_line(tiny_project: Path, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(tiny_project, root, symlinks=True)
    path = root / "params.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("classes_per_client", "classes_per_cleint"), encoding="utf-8")
    run = dvc(root, "repro", "partition")
    assert run.returncode != 0
    (line,) = [line for line in run.stderr.splitlines() if line.startswith("error: ")]
    assert "partition.classes_per_cleint" in line
    assert "unknown key" in line
    assert "Traceback" not in run.stderr
