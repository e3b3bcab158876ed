"""The store after any sequence of changes: one run per fingerprint, equal to its files."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from fedmvp.dvc_lock import md5_output
from fedmvp.errors import ConfigError, DataError
from fedmvp.results.key import result_folders
from fedmvp.tracking.projection import project
from fedmvp.tracking.store import (
    CONTENT_TAG,
    FINGERPRINT_TAG,
    open_client,
    recorded_runs,
    tracking_uri,
)
from fedmvp.tracking.sync import sync
from fedmvp.tracking.trouble import without_secret
from tests.unit.tracking.compare import active, assert_equal_to_files

Writer = Callable[..., Path]


@pytest.mark.slow
def test_first_sync_records_everything(store: Any, root: Path, write_result: Writer) -> None:
    write_result(seed=1)
    write_result(seed=2)
    write_result("zero_shot", trained=False)
    report = sync(root)
    assert (len(report.created), len(report.updated), len(report.unchanged)) == (3, 0, 0)
    assert_equal_to_files(store, root)
    assert store.get_experiment_by_name("fedmvp-tiny") is not None
    run = next(r for r in active(store) if r.data.params["method"] == "fedmvp")
    listed = {
        a.path
        for folder in ("result", "prompts", "attention")
        for a in store.list_artifacts(run.info.run_id, folder)
    }
    assert listed == {
        "result/run.json",
        "result/metrics.json",
        "result/rounds.csv",
        "result/targets.csv",
        "result/predictions.csv",
        "result/weights.safetensors",
        "result/explain.json",
        "prompts/attributes",
        "prompts/questions",
        "prompts/sentences",
        "prompts/templates.json",
        "attention/00-animals-bear.png",
    }
    assert [d.dataset.name for d in run.inputs.dataset_inputs] == ["data/attributes/animals.json"]
    assert report.prompts == (
        "fedmvp.hand.animals",
        "fedmvp.question.visual-v1",
        "fedmvp.question.visual-v1.animals",
        "fedmvp.sentence.animals",
    )
    place = root / ".fedmvp/mlruns/fedmvp-tiny" / run.info.run_id
    assert (place / "artifacts/result/weights.safetensors").read_bytes() == b"weights of seed 2"[
        :-1
    ] + (run.data.params["seed"].encode())


@pytest.mark.slow
def test_second_sync_changes_nothing(store: Any, root: Path, write_result: Writer) -> None:
    write_result()
    sync(root)
    report = sync(root)
    assert (report.created, report.updated, len(report.unchanged)) == ((), (), 1)
    # Also when the quick look into the database is no use.
    (root / "params.yaml").touch()
    client_report = sync(root, folders=[*result_folders(root / "results"), write_result(seed=2)])
    assert (len(client_report.created), len(client_report.unchanged)) == (1, 1)
    assert client_report.prompts == ()


@pytest.mark.slow
def test_redone_evaluation_replaces_the_numbers(
    store: Any, root: Path, write_result: Writer
) -> None:
    write_result(hm=0.5)
    sync(root)
    write_result(hm=0.75)
    report = sync(root)
    assert (len(report.created), len(report.updated)) == (0, 1)
    assert_equal_to_files(store, root)


@pytest.mark.slow
def test_what_is_not_what_its_stage_wrote_is_not_published(
    store: Any, root: Path, write_result: Writer
) -> None:
    """DVC restores a damaged object of its cache without a word."""
    folder = write_result()
    out = "results/base_to_new/fedmvp/seed1/metrics.json"
    md5 = md5_output(root / out)
    lock = {"stages": {"evaluate@1": {"outs": [{"path": out, "md5": md5}]}}}
    (root / "dvc.lock").write_text(yaml.safe_dump(lock), encoding="utf-8")
    metrics = (folder / "metrics.json").read_text(encoding="utf-8")
    (folder / "metrics.json").write_text(metrics.replace("0.5", "0.9"), encoding="utf-8")
    with pytest.raises(DataError, match=r"metrics.json: not what its stage wrote.*doctor --deep"):
        sync(root)
    (folder / "metrics.json").write_text(metrics, encoding="utf-8")
    assert len(sync(root).created) == 1


def test_changed_parameters_are_another_run(store: Any, root: Path, write_result: Writer) -> None:
    write_result(lr=0.1)
    sync(root)
    write_result(lr=0.2)
    assert len(sync(root).created) == 1
    assert {run.data.params["federation.learning_rate"] for run in active(store)} == {"0.1", "0.2"}
    # Back to the first: its run is still there.
    write_result(lr=0.1)
    assert len(sync(root).unchanged) == 1
    assert len(active(store)) == 2


@pytest.mark.slow
def test_deleted_runs_come_back_and_duplicates_go(
    store: Any, root: Path, write_result: Writer
) -> None:
    write_result()
    sync(root)
    store.delete_run(active(store)[0].info.run_id)
    assert len(sync(root).created) == 1
    first = active(store)[0]
    twin = store.create_run(
        first.info.experiment_id,
        run_name="twin",
        tags={FINGERPRINT_TAG: first.data.tags[FINGERPRINT_TAG], CONTENT_TAG: "other"},
    )
    sync(root)
    assert twin.info.run_id not in {run.info.run_id for run in active(store)}
    assert_equal_to_files(store, root)


@pytest.mark.slow
def test_prompts_get_a_version_only_when_their_text_changes(
    store: Any, root: Path, write_result: Writer
) -> None:
    write_result(seed=1)
    assert len(sync(root).prompts) == 4
    write_result(seed=2)
    assert sync(root).prompts == ()
    assert store.load_prompt("prompts:/fedmvp.hand.animals@latest").version == 1


@pytest.mark.slow
def test_two_syncs_at_once_both_succeed(root: Path, write_result: Writer) -> None:
    """Neither finds the database there; one creates it, the other waits."""
    for seed in range(1, 4):
        write_result(seed=seed)
    code = (
        "import sys, pathlib; from fedmvp.tracking.sync import sync;sync(pathlib.Path(sys.argv[1]))"
    )
    both = [
        subprocess.Popen(
            [sys.executable, "-W", "error::ResourceWarning", "-c", code, str(root)],
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    complaints = [process.communicate(timeout=120)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], complaints
    assert_equal_to_files(open_client(tracking_uri(root)), root)


@pytest.mark.slow
def test_nothing_to_do_takes_no_time(store: Any, root: Path, write_result: Writer) -> None:
    write_result()
    sync(root)
    known = recorded_runs(tracking_uri(root)) or {}
    assert {fingerprint: run.content for fingerprint, run in known.items()} == {
        p.fingerprint: p.content for p in map(project, result_folders(root / "results"))
    }
    started = time.perf_counter()
    sync(root)
    assert time.perf_counter() - started < 1


def test_unreadable_databases_are_left_to_mlflow(root: Path) -> None:
    uri = tracking_uri(root)
    assert recorded_runs(uri) is None
    (root / ".fedmvp").mkdir()
    (root / ".fedmvp/mlflow.db").write_bytes(b"not a database at all" * 100)
    assert recorded_runs(uri) is None
    assert recorded_runs("https://example.org") is None


@pytest.mark.slow
def test_unopenable_store_is_one_clear_error(root: Path, write_result: Writer) -> None:
    write_result()
    (root / ".fedmvp").mkdir()
    (root / ".fedmvp/mlflow.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(ConfigError, match="cannot be opened"):
        sync(root)


def test_uri_precedence(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tracking_uri(root) == f"sqlite:///{root}/.fedmvp/mlflow.db"
    assert Path(tracking_uri(root).removeprefix("sqlite:///")).is_absolute()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow")
    assert tracking_uri(root) == "http://mlflow"
    monkeypatch.setenv("FEDMVP_TRACKING_URI", "http://fedmvp")
    assert tracking_uri(root) == "http://fedmvp"
    assert tracking_uri(root, "http://given") == "http://given"


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("https://name:secret@host.example/path", "https://host.example/path"),
        ("postgresql://name:se@cret@host/db?password=secret", "postgresql://host/db"),
        ("name:secret@host:5000", "host:5000"),
        ("http://host/?next=https://name:secret@other", "http://other"),
        ("sqlite:////a folder/mlflow.db", "sqlite:////a folder/mlflow.db"),
        ("sqlite:////home/me@work/mlflow.db", "sqlite:////home/me@work/mlflow.db"),
    ],
)
def test_no_message_holds_a_password(uri: str, shown: str) -> None:
    assert without_secret(uri) == shown


@pytest.mark.slow
def test_a_run_made_from_files_has_no_duration(
    store: Any, root: Path, write_result: Writer
) -> None:
    write_result()
    sync(root)
    (run,) = active(store)
    assert run.info.start_time == run.info.end_time
    assert run.data.tags["fedmvp.recorded"] == "from files"


@pytest.mark.slow
def test_an_experiment_says_it_is_about_training(
    store: Any, root: Path, write_result: Writer
) -> None:
    sync(root, folders=[write_result()])
    experiment = store.get_experiment_by_name("fedmvp-tiny")
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    # One of a person's own choice stays; an experiment from before gets it.
    store.set_experiment_tag(experiment.experiment_id, "mlflow.experimentKind", "regression")
    sync(root, folders=[write_result(seed=2)])
    experiment = store.get_experiment_by_name("fedmvp-tiny")
    assert experiment.tags["mlflow.experimentKind"] == "regression"


@pytest.mark.slow
def test_nan_metrics_survive(store: Any, root: Path, write_result: Writer) -> None:
    folder = write_result()
    text = (folder / "rounds.csv").read_text(encoding="utf-8")
    (folder / "rounds.csv").write_text(text.replace("0.5,,0.5", "nan,,0.5"), encoding="utf-8")
    sync(root)
    (run,) = active(store)
    history = store.get_metric_history(run.info.run_id, "train/loss_ce")
    assert all(math.isnan(m.value) for m in history)
    assert len(sync(root).unchanged) == 1
