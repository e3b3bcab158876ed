"""A trained model in MLflow, end to end: logged, registered, predicted with, served."""

from __future__ import annotations

import base64
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks.serving import bomb
from tests.paths import ROOT

pytestmark = pytest.mark.slow

_FEDMVP = "from fedmvp.cli import app; app(prog_name='fedmvp')"
_URI = "models:/toys@champion"
_TIMEOUT_S = 300


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A furnished folder with a result; CLIP's own tokenizer is used."""
    from tests.unit.prediction.places import furnish, trained, write_result

    folder = tmp_path_factory.mktemp("a project")
    backbone = furnish(folder, vocabulary=49408)
    write_result(folder, trained(backbone))
    (folder / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    return folder


def start(place: Path, *words: str) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "FEDMVP_CATALOG": "catalog",
        "FEDMVP_CACHE": str(place / ".fedmvp/cache"),
        "FEDMVP_TRACKING_URI": "",
        "MLFLOW_TRACKING_URI": f"sqlite:///{place}/.fedmvp/mlflow.db",
        "MLFLOW_REGISTRY_URI": f"sqlite:///{place}/.fedmvp/mlflow.db",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "HF_HUB_OFFLINE": "1",
        # mlflow starts uvicorn by its name.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    return subprocess.Popen(
        [sys.executable, *words],
        cwd=place,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def output(place: Path, *words: str) -> str:
    process = start(place, *words)
    out, errors = process.communicate(timeout=_TIMEOUT_S)
    assert process.returncode == 0, errors
    return out


@pytest.fixture(scope="module")
def logged(place: Path) -> Path:
    words = (
        "track",
        "model",
        "results/base_to_new/fedmvp/seed1",
        "--register",
        "toys",
        "--alias",
        "champion",
    )
    for _ in range(2):  # the second time there is nothing to do
        assert output(place, "-c", _FEDMVP, *words).splitlines()[-1] == _URI
    return place


@pytest.fixture(scope="module")
def expected(place: Path) -> dict[str, float]:
    words = ("predict", "image0.png", "--weights", "results/base_to_new/fedmvp/seed1", "--json")
    (record,) = json.loads(output(place, "-c", _FEDMVP, *words))
    shares: dict[str, float] = record["probabilities"]
    return shares


def text_of(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def check(answer: dict[str, Any], expected: dict[str, float]) -> None:
    assert list(answer["probabilities"]) == list(expected)
    values = list(answer["probabilities"].values())
    np.testing.assert_allclose(values, list(expected.values()), atol=1e-5)
    assert answer["class"] == max(expected, key=expected.__getitem__)
    assert answer["probability"] == max(values)


def test_one_model_is_logged_without_pickles_and_without_the_backbone(logged: Path) -> None:
    (model,) = logged.glob(".fedmvp/mlruns/*/models/*/artifacts")
    names = {path.name for path in model.rglob("*") if path.is_file()}
    assert {"MLmodel", "serve.py", "model.json", "weights.safetensors"} <= names
    assert not [name for name in names if name.endswith((".pkl", ".pt", ".pth"))]
    bundle = json.loads((model / "artifacts/model.json").read_text(encoding="utf-8"))
    spec = json.loads((logged / "data/backbone/spec.json").read_text(encoding="utf-8"))
    assert bundle["backbone"]["tower_sha256"] == spec["tower_sha256"]
    size = sum(path.stat().st_size for path in model.rglob("*") if path.is_file())
    assert size < (logged / "data/backbone/weights.safetensors").stat().st_size
    assert str(logged) not in (model / "serve.py").read_text(encoding="utf-8")
    # MLflow's own defaults would have been written to the working directory.
    assert not (logged / "mlflow.db").exists()
    assert not (logged / "mlruns").exists()


def test_mlflow_models_predict(logged: Path, expected: dict[str, float]) -> None:
    request = {
        "dataframe_split": {"columns": ["image"], "data": [[text_of(logged / "image0.png")]]}
    }
    (logged / "request.json").write_text(json.dumps(request), encoding="utf-8")
    out = output(
        logged,
        "-m",
        "mlflow",
        "models",
        "predict",
        "-m",
        _URI,
        "-i",
        "request.json",
        "-t",
        "json",
        "--env-manager",
        "local",
    )
    (answer,) = json.loads(out[out.index('{"predictions"') :])["predictions"]
    check(answer, expected)


@contextmanager
def serving(place: Path) -> Iterator[int]:
    """Serve the champion on a free port of this machine; yield the port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = start(
        place,
        "-m",
        "mlflow",
        "models",
        "serve",
        "-m",
        _URI,
        "--env-manager",
        "local",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    )
    try:
        deadline = time.monotonic() + _TIMEOUT_S
        while True:
            assert server.poll() is None, server.communicate()[1]
            assert time.monotonic() < deadline
            try:
                assert send(port, "GET", "/ping")[0] == http.HTTPStatus.OK
                break
            except OSError:
                time.sleep(0.5)
        yield port
    finally:
        server.terminate()
        server.communicate(timeout=60)


def send(port: int, verb: str, path: str, body: str | None = None) -> tuple[int, str]:
    """Return status and text of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)
    try:
        connection.request(verb, path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def ask(port: int, request: Any) -> Any:
    status, text = send(port, "POST", "/invocations", json.dumps(request))
    assert status == http.HTTPStatus.OK, text
    return json.loads(text)["predictions"]


def test_mlflow_models_serve(logged: Path, expected: dict[str, float]) -> None:
    text = text_of(logged / "image0.png")
    with Image.open(logged / "image0.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).tolist()
    with serving(logged) as port:
        for request in (
            {"dataframe_split": {"columns": ["image"], "data": [[text]]}},
            {"dataframe_records": [{"image": pixels}], "params": {"dataset": "toys"}},
            {"inputs": {"image": [text]}},
            {"instances": [{"image": f"data:image/png;base64,{text}"}]},
        ):
            (answer,) = ask(port, request)
            check(answer, expected)
        assert len(ask(port, {"dataframe_records": [{"image": text}, {"image": pixels}]})) == 2
        faulty = json.dumps({"dataframe_records": [{"image": text}, {"image": "AAAA"}]})
        status, message = send(port, "POST", "/invocations", faulty)
        assert status == http.HTTPStatus.BAD_REQUEST
        assert "image 1 of the request: image cannot be decoded" in message
        for column in (
            [None],
            [[]],
            [{}],
            [7],
            [True],
            [[[[0, 0, 300]]]],
            ["?"],
            [text, None],
            [[text, 3]],
            [base64.b64encode(bomb(13000)).decode()],
            [text] * 33,
        ):
            refused(send(port, "POST", "/invocations", _records(column)), logged)
        for params in ({"dataset": "food"}, {"dataset": None}, {"dataset": 3}, {"else": 1}):
            status, message = send(port, "POST", "/invocations", _records([text], params=params))
            assert "Traceback" not in message and str(logged) not in message


def _records(column: list[Any], **more: Any) -> str:
    return json.dumps({"dataframe_records": [{"image": cell} for cell in column], **more})


def refused(answer: tuple[int, str], place: Path) -> None:
    """The model's own line is in it, and nothing of this machine."""
    status, message = answer
    assert status == http.HTTPStatus.BAD_REQUEST, message
    assert "hint: " in message
    assert not any(word in message for word in ("Traceback", ".py", str(place), str(ROOT)))
