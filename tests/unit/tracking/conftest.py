"""A small repository folder with results as train and evaluate write them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from fedmvp.csv_files import write_csv
from fedmvp.files import sha256_file, sha256_json, write_json
from fedmvp.tracking.store import open_client, tracking_uri
from tests.unit.tracking.samples import (
    PARAMS,
    PREDICTIONS,
    ROUND_COLUMNS,
    TARGET_COLUMNS,
    explain,
    rounds,
)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a space in its path, and no tracking settings in the environment."""
    for name in ("FEDMVP_TRACKING_URI", "MLFLOW_TRACKING_URI", "FEDMVP_TRACKING"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "a project"
    folder.mkdir()
    (folder / "params.yaml").write_text(yaml.safe_dump(PARAMS), encoding="utf-8")
    write_json(
        folder / "data/attributes/animals.json",
        {
            "dataset": "animals",
            "provider": "recorded",
            "model": "claude",
            "template": "visual-v1",
            "classes": {"ant": ["six thin legs", "narrow waist"], "bear": ["thick brown fur"]},
        },
        sort_keys=False,
    )
    return folder


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database with mlflow's tables, made once: creating them takes seconds."""
    folder = tmp_path_factory.mktemp("store")
    open_client(f"sqlite:///{folder / 'mlflow.db'}")
    return folder / "mlflow.db"


@pytest.fixture
def store(root: Path, empty_store: Path) -> Any:
    """Return a client of the root's default store."""
    (root / ".fedmvp").mkdir()
    shutil.copy(empty_store, root / ".fedmvp/mlflow.db")
    return open_client(tracking_uri(root))


@pytest.fixture
def write_result(root: Path) -> Callable[..., Path]:
    """Return a writer of one result folder; equal arguments give equal files."""

    def write(
        method: str = "fedmvp",
        seed: int = 1,
        *,
        trained: bool = True,
        hm: float = 0.5,
        lr: float = 0.1,
    ) -> Path:
        folder = root / "results/base_to_new" / method / f"seed{seed}"
        params = {
            "federation": {"learning_rate": lr, "rounds": 3},
            "tags": ["a", "b"],
            "none": None,
        }
        attributes = root / "data/attributes/animals.json"
        inputs = {"data/attributes/animals.json": sha256_file(attributes)}
        identity = {"setting": "base_to_new", "method": method, "seed": seed}
        record = {**identity, "params": params, "inputs": inputs}
        write_json(folder / "run.json", {**record, "fingerprint": sha256_json(record)})
        write_json(folder / "metrics.json", {"hm": hm, "hm/animals": hm, "local": 0.25})
        write_csv(
            folder / "targets.csv",
            TARGET_COLUMNS,
            [
                dict(
                    zip(
                        TARGET_COLUMNS,
                        ("animals", "base", "base", "animals", "", 2, 9, hm),
                        strict=True,
                    )
                )
            ],
        )
        (folder / "predictions.csv").write_text(PREDICTIONS, encoding="utf-8")
        if trained:
            write_csv(folder / "rounds.csv", ROUND_COLUMNS, rounds(seed))
            (folder / "weights.safetensors").write_bytes(b"weights of seed %d" % seed)
            write_json(folder / "explain.json", explain())
        return folder

    return write
