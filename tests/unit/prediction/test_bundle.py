"""A trained method as a folder, and serving it without MLflow."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest

from fedmvp.clip.backbone import Backbone
from fedmvp.data.inputs import read_images
from fedmvp.errors import BackboneError, CheckpointError, ConfigError
from fedmvp.files import read_json, write_json
from fedmvp.prediction import PredictionRequest, load_predictor
from fedmvp.prediction.bundle import load_bundle, write_bundle
from fedmvp.prediction.predictor import probabilities
from fedmvp.prediction.served import open_served
from tests.unit.prediction.places import trained, write_result

OUT = Path("bundle")


@pytest.fixture
def result(tower: Backbone) -> Path:
    return write_result(Path(), trained(tower, n_prompts=2))


def test_a_served_model_predicts_as_the_command_does(result: Path) -> None:
    write_bundle(OUT, result)
    assert {path.name for path in OUT.iterdir()} == {"model.json", "weights.safetensors"}
    served = open_served(OUT)
    text = base64.b64encode(Path("image0.png").read_bytes()).decode()
    answer, other = served.predict([text, Path("image1.png").read_bytes()])
    predictor = load_predictor(PredictionRequest(result))
    images = read_images([Path("image0.png"), Path("image1.png")], predictor.image_size_px).pixels
    expected = probabilities(predictor.predict(images))
    np.testing.assert_array_equal(list(answer["probabilities"].values()), expected[0])
    np.testing.assert_array_equal(list(other["probabilities"].values()), expected[1])
    assert list(answer["probabilities"]) == list(predictor.class_names)
    assert answer["class"] == predictor.class_names[expected[0].argmax()]
    assert answer["probability"] == expected[0].max()
    assert served.predict([]) == []


def test_texts_are_inside(result: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundle needs neither catalog nor attributes where it is served."""
    write_bundle(OUT, result)
    expected = open_served(OUT).predict([Path("image0.png").read_bytes()])
    monkeypatch.delenv("FEDMVP_CATALOG")
    Path("data/attributes/toys.json").unlink()
    assert open_served(OUT).predict([Path("image0.png").read_bytes()], "toys") == expected


def test_the_backbone_is_checked_by_its_hash(result: Path) -> None:
    write_bundle(OUT, result)
    spec = read_json(Path("data/backbone/spec.json"))
    write_json(Path("data/backbone/spec.json"), {**spec, "tower_sha256": "0" * 64})
    with pytest.raises(BackboneError, match=r"hash differs.*FEDMVP_BACKBONE"):
        load_bundle(OUT)


def test_faulty_requests_and_bundles(result: Path) -> None:
    with pytest.raises(ConfigError, match=r"not a dataset of the run.*toys"):
        write_bundle(OUT, result, default_dataset="food")
    write_bundle(OUT, result)
    with pytest.raises(ConfigError, match=r"unknown dataset.*toys"):
        open_served(OUT).predict([], "food")
    write_json(OUT / "model.json", {**read_json(OUT / "model.json"), "more": 1})
    with pytest.raises(CheckpointError, match=r"not a model description"):
        load_bundle(OUT)


def test_a_result_without_run_or_backbone_cannot_be_bundled(result: Path) -> None:
    Path("data/backbone/spec.json").rename("spec.json")
    with pytest.raises(BackboneError, match=r"dvc repro backbone"):
        write_bundle(OUT, result)
    (result / "run.json").unlink()
    with pytest.raises(CheckpointError, match=r"no run\.json"):
        write_bundle(OUT, result)
