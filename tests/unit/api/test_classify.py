"""``fedmvp.load(…).classify(…)``: images in every form, classes of one's own, what is refused."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import fedmvp
from fedmvp.clip.backbone import Backbone
from fedmvp.errors import AttributeTextError, ConfigError, DataError, FedMVPError
from fedmvp.prediction import PredictionRequest, load_predictor
from fedmvp.prediction.bundle import write_bundle
from tests.unit.prediction.places import CLASSES, trained, write_result

OWN = {"red fox": ["long tail"], "sea star": ["five arms", "rough skin"]}


@pytest.fixture
def result(tower: Backbone) -> Path:
    return write_result(Path(), trained(tower, n_prompts=2))


@pytest.fixture
def model(result: Path) -> fedmvp.Model:
    return fedmvp.load(result)


def test_every_form_of_an_image_is_classified_alike(model: fedmvp.Model) -> None:
    picture = Image.open("image0.png").convert("RGB")
    array = np.asarray(picture)
    tensor = torch.from_numpy(array.copy()).permute(2, 0, 1)
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    expected = model.classify("image0.png").logits
    forms: Sequence[Any] = [
        Path("image0.png"),
        picture,
        buffer.getvalue(),
        array,
        array.astype(np.int64),
        (array / 255).astype(np.float32),
        tensor,
        tensor.float() / 255,
        tensor[None],
        np.concatenate([array, np.full((*array.shape[:2], 1), 255, np.uint8)], axis=2),
    ]
    for form in forms:
        np.testing.assert_array_equal(model.classify(form).logits, expected)
    together = model.classify([*forms, np.stack([array, array])])
    np.testing.assert_allclose(together.logits, np.repeat(expected, 12, axis=0), atol=1e-4)


def test_a_grey_picture_is_a_picture(model: fedmvp.Model) -> None:
    grey = np.random.default_rng(2).integers(0, 255, (20, 30), dtype=np.uint8)
    expected = model.classify(Image.fromarray(grey)).logits
    for form in (grey, grey[:, :, None], torch.from_numpy(grey)[None]):
        np.testing.assert_array_equal(model.classify(form).logits, expected)


def test_files_and_folders_keep_their_names(model: fedmvp.Model) -> None:
    Path("photos/deep").mkdir(parents=True)
    Path("photos/deep/b.png").write_bytes(Path("image1.png").read_bytes())
    found = model.classify(["image0.png", "photos", np.zeros((4, 4, 3), np.uint8)])
    assert found.images == ("image0.png", "photos/deep/b.png", "image 2")
    assert len(found) == 3


def test_an_answer_has_names_and_probabilities(model: fedmvp.Model) -> None:
    found = model.classify(["image0.png", "image1.png"])
    assert found.classes == CLASSES
    assert found.attention is None
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1)
    best = [CLASSES[i] for i in found.probabilities.argmax(axis=1)]
    assert found.names == best == [first[0][0] for first in found.top(2)]
    assert model.classify([]).logits.shape == (0, 4)


def test_it_is_what_the_command_computes(model: fedmvp.Model, result: Path) -> None:
    predictor = load_predictor(PredictionRequest(result))
    np.testing.assert_array_equal(
        model.classify("image0.png").logits,
        load_predictor(PredictionRequest(result)).predict(model.classify("image0.png").pixels),
    )
    assert predictor.class_names == model.classify("image0.png").classes


def test_classes_and_attributes_of_ones_own(model: fedmvp.Model) -> None:
    found = model.classify("image0.png", classes=list(OWN), attributes=OWN)
    assert found.classes == tuple(OWN)
    only = model.classify("image0.png", attributes=OWN)
    np.testing.assert_array_equal(only.logits, found.logits)
    # Known classes have their attributes, and the model's own style is kept.
    some = model.classify("image0.png", classes=["kite", "red fox"])
    every = model.classify("image0.png")
    assert some.classes == ("kite", "red fox")
    assert not np.array_equal(some.logits[0], every.logits[0, [3, 0]])  # another bank
    with pytest.raises(AttributeTextError, match=r"no attributes.*'sea star'"):
        model.classify("image0.png", classes=["sea star", "kite"])


def test_attention_and_its_picture(model: fedmvp.Model) -> None:
    found = model.classify(["image0.png", "image1.png"], attention=True)
    assert found.attention is not None
    (first, second) = found.attention
    assert first.weights.shape == (16, 16)
    np.testing.assert_allclose(second.weights.sum(axis=1), 1, rtol=1e-5)
    assert Image.open(io.BytesIO(found.picture())).format == "PNG"
    with pytest.raises(ConfigError, match=r"attention=True"):
        model.classify("image0.png").picture()


def test_a_bundle_and_an_untrained_method(model: fedmvp.Model, result: Path) -> None:
    write_bundle(Path("bundle"), result)
    bundle = fedmvp.load("bundle")
    assert repr(bundle) == "<fedmvp on tiny; knows the classes of toys>"
    np.testing.assert_array_equal(
        bundle.classify("image0.png").logits, model.classify("image0.png").logits
    )
    plain = fedmvp.load("zero_shot", backbone="tiny")
    assert plain.classify("image0.png", classes=["a", "b"]).classes == ("a", "b")
    with pytest.raises(ConfigError, match="no classes to choose among"):
        plain.classify("image0.png")
    with pytest.raises(ConfigError, match=r"a bundle has its own.*drop --fold"):
        fedmvp.load("bundle", fold="main")


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("absent.png", "absent.png: no such image file or folder"),
        (b"no image", "image 0: image cannot be decoded"),
        (7, "not an image; got 'int'"),
        (None, "not an image"),
        (np.zeros((4, 4, 2), np.uint8), r"shape \(4, 4, 2\) is not an image's"),
        (np.zeros((0, 4, 3), np.uint8), "not an image's"),
        (np.full((4, 4, 3), 1.5), r"outside 0..1; got \[1.5, 1.5\]"),
        (np.full((4, 4, 3), np.nan), "outside 0..1"),
        (np.full((4, 4, 3), 256), "outside 0..255"),
        (np.zeros((4, 4, 3), complex), "complex128 values are not pixels"),
        (torch.full((3, 4, 4), -1.0), "before it is normalised"),
        (torch.zeros(4), "not an image's"),
    ],
    ids=lambda value: None if isinstance(value, str) else type(value).__name__,
)
def test_what_is_no_image_is_one_line(model: fedmvp.Model, image: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        model.classify(image)
    assert str(caught.value).count("\n") == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"classes": "kite"}, "not a list of class names"),
        ({"classes": []}, "no class in the list"),
        ({"classes": ["kite", "kite"]}, "listed twice"),
        ({"classes": ["a\nb"]}, "printable"),
        ({"classes": ["kite"], "attributes": {"kite": "long"}}, "no list of texts"),
        ({"classes": ["kite"], "attributes": {}}, "no attribute lists"),
        ({"dataset": "toyz"}, "did you mean 'toys'"),
        ({"domain": "clipart"}, "no such domain"),
        ({"batch_size": 0}, "not a number of images"),
    ],
)
def test_what_cannot_be_asked(model: fedmvp.Model, words: Any, message: str) -> None:
    with pytest.raises(FedMVPError, match=message):
        model.classify("image0.png", **words)


def test_devices_are_checked(result: Path) -> None:
    with pytest.raises(ConfigError, match=r"device: unknown device warp"):
        fedmvp.load(result, device="warp")
