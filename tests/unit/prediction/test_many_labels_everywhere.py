"""A model of many labels wherever it is used: Python, command, bundle, service, export, ONNX."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import fedmvp
from fedmvp.cli import app
from fedmvp.clip.backbone import Backbone
from fedmvp.export.onnx import write_onnx
from fedmvp.files import read_json
from fedmvp.prediction.bundle import load_bundle, write_bundle
from fedmvp.prediction.served import open_served
from tests.unit.prediction.places import write_many_labels

THRESHOLD = 0.35
IMAGES = ["image0.png", "image1.png"]


@pytest.fixture
def result(tower: Backbone) -> Path:
    return write_many_labels(Path(), tower, threshold=THRESHOLD)


def run(*words: str) -> str:
    done = CliRunner().invoke(app, list(words))
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


def test_python_says_what_is_above_the_threshold(result: Path) -> None:
    model = fedmvp.load(result)
    found = model.classify(IMAGES)
    assert found.many_labels and found.threshold == THRESHOLD
    expected = 1 / (1 + np.exp(-found.logits.astype(np.float64)))
    np.testing.assert_allclose(found.probabilities, expected)
    for names, row in zip(found.shown, expected, strict=True):
        above = [i for i in np.argsort(-row, kind="stable") if row[i] > THRESHOLD]
        assert names == tuple(found.classes[i] for i in above)
    # The rule is the threshold's: with one below every probability all classes are shown.
    model.bundle = model.bundle.model_copy(update={"threshold": float(expected.min()) / 2})
    model._predictors.clear()
    assert all(set(names) == set(found.classes) for names in model.classify(IMAGES).shown)
    model.bundle = model.bundle.model_copy(update={"threshold": (1 + float(expected.max())) / 2})
    model._predictors.clear()
    assert model.classify(IMAGES).shown == [(), ()]


def test_without_an_evaluation_the_threshold_is_a_half(result: Path) -> None:
    (result / "targets.csv").unlink()
    assert fedmvp.load(result).classify(IMAGES).threshold == 0.5


def test_the_command(result: Path) -> None:
    found = fedmvp.load(result).classify(IMAGES)
    records = json.loads(run("predict", *IMAGES, "--weights", str(result), "--json"))
    for record, names, row in zip(records, found.shown, found.probabilities, strict=True):
        assert record["shown"] == list(names) and record["threshold"] == THRESHOLD
        np.testing.assert_allclose(list(record["probabilities"].values()), row)
    text = run("predict", IMAGES[0], "--weights", str(result))
    assert f"shown, above 35 %: {', '.join(found.shown[0]) or 'none of the classes'}" in text


def test_a_bundle_and_the_service_keep_the_threshold(result: Path) -> None:
    found = fedmvp.load(result).classify(IMAGES)
    write_bundle(Path("bundle"), result)
    assert load_bundle(Path("bundle")).bundle.threshold == THRESHOLD
    served = open_served(Path("bundle"))
    assert served.about()["threshold"] == THRESHOLD
    answers = served.predict([Path(name).read_bytes() for name in IMAGES])
    for answer, names, row in zip(answers, found.shown, found.probabilities, strict=True):
        assert answer["classes"] == list(names)
        np.testing.assert_allclose(list(answer["probabilities"].values()), row)
        assert answer["probability"] == max(answer["probabilities"].values())


def test_the_export_says_it_of_itself(result: Path) -> None:
    run("export", str(result), "out")
    assert read_json(Path("out/model.json"))["threshold"] == THRESHOLD
    np.testing.assert_array_equal(
        fedmvp.load("out").classify(IMAGES).logits, fedmvp.load(result).classify(IMAGES).logits
    )
    card = Path("out/README.md").read_text(encoding="utf-8")
    assert ".shown)" in card and "## Average precision" in card and "softmax" not in card
    assert "| `map` | 62.5 |" in card and "map/toys" not in card
    assert "a probability above 35 % are predicted" in card


@pytest.mark.slow
def test_onnx_has_the_tiles_and_the_threshold(result: Path) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="needs the extra `onnx`")
    pytest.importorskip("onnxscript", reason="needs the extra `onnx`")
    model = fedmvp.load(result)
    predictor = model.predictor()
    write_onnx(Path("out"), predictor)
    about = read_json(Path("out/onnx.json"))
    side = 2 * predictor.method.backbone.spec.vision.image_size
    assert (about["side"], about["threshold"]) == (side, THRESHOLD)
    session = runtime.InferenceSession("out/model.onnx")
    for count in (1, 3):
        draw = np.random.default_rng(count)
        pixels = draw.integers(0, 255, (count, side, side, 3), dtype=np.uint8)
        normal = predictor.method.backbone.normalise(pixels).numpy()
        (logits,) = session.run(None, {"image": normal})
        assert np.abs(logits - predictor.predict(pixels)).max() < 1e-4
    done = subprocess.run(
        [sys.executable, "out/classify.py", *IMAGES], capture_output=True, text=True, check=True
    )
    found = model.classify(IMAGES)
    for line, image, names, top in zip(
        done.stdout.splitlines(), IMAGES, found.shown, found.top(4), strict=True
    ):
        shares = dict(top)
        assert line.split("  ") == [image, *(f"{name} {shares[name]:.1%}" for name in names)]
