"""Every baseline against its plain reference: logits and one client update, 1e-5 in fp32."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fedmvp.clip.backbone import Backbone
from fedmvp.federation.client import ClientData, ClientState, train_client
from fedmvp.methods import METHODS
from fedmvp.methods.base import Method
from fedmvp.methods.build import build_method, method_params
from tests.bridge import batches_of
from tests.random_clip import WordTokenizer
from tests.reference.federated import Optimiser, sgd_step
from tests.reference_baselines import peers
from tests.reference_baselines.methods import LOGITS, fedotp_global, loss
from tests.reference_baselines.towers import Model
from tests.toys import NAMES, federation, shake, toy_bank, toy_client

pytestmark = pytest.mark.usefixtures("words")

TOLERANCE = 1e-5
SHAPES = ["tiny", "quick", "picto"]
TRAINED = sorted(set(LOGITS) - {"zero_shot", "zero_shot_ensemble"})


@pytest.fixture(params=SHAPES)
def shaped(request: pytest.FixtureRequest) -> Backbone:
    found: Backbone = request.getfixturevalue(request.param)
    return found


def create(name: str, backbone: Backbone, **section: Any) -> Method:
    """Return the method, every tensor moved so that no start value hides a mistake."""
    method = build_method(name, backbone, method_params(name, section), seed=1)
    shake(method)
    return method


def client(backbone: Backbone, images: int = 3) -> ClientData:
    """Return `images` images, one of each of as many classes, among three."""
    data = toy_client(toy_bank(backbone), NAMES[:3], per_class=1)
    return ClientData(backbone, data.images[:images], np.arange(images), data.classes)


def plain(backbone: Backbone) -> Model:
    vision, text = backbone.spec.vision, backbone.spec.text
    tokenizer = WordTokenizer(text.context_length)
    return Model(
        weights={name: tensor.double() for name, tensor in backbone.state_dict().items()},
        patch=vision.patch_size,
        layers=vision.layers,
        heads=vision.heads,
        text_layers=text.layers,
        text_heads=text.heads,
        quick=backbone.spec.quick_gelu,
        tokenize=lambda words: tokenizer([words])[0].tolist(),
    )


def spoken(names: Sequence[str]) -> list[str]:
    return [name.replace("_", " ") for name in names]


def gap(ours: Tensor, reference: Tensor) -> float:
    return float((ours.detach().double() - reference.detach()).abs().max())


def doubles(method: Method) -> dict[str, Tensor]:
    return {name: tensor.detach().double() for name, tensor in method.tensors().items()}


def test_no_method_is_left_out() -> None:
    elsewhere = {"zero_shot_attributes", "zero_shot_combined", "fedmvp"}
    assert {*LOGITS, *peers.LOGITS} == set(METHODS) - elsewhere


@pytest.mark.parametrize("name", LOGITS)
def test_logits(shaped: Backbone, name: str) -> None:
    method = create(name, shaped)
    data = client(shaped, images=2)
    method.enter(method.first_phase)
    images = shaped.normalise(data.images)
    names, model, state = spoken(data.classes.names), plain(shaped), doubles(method)
    with torch.no_grad():
        ours = method.logits(images, data.classes)
        reference = [LOGITS[name](image, state, names, model) for image in images.double()]
    assert gap(ours, torch.stack(reference)) <= TOLERANCE


def test_fedotp_as_the_server(tiny: Backbone) -> None:
    method, data = create("fedotp", tiny), client(tiny)
    method.enter(None)
    images = tiny.normalise(data.images)
    names, model, state = spoken(data.classes.names), plain(tiny), doubles(method)
    with torch.no_grad():
        ours = method.logits(images, data.classes)
        reference = [fedotp_global(image, state, names, model) for image in images.double()]
    assert gap(ours, torch.stack(reference)) <= TOLERANCE


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize("shape", ["tiny", pytest.param("picto", marks=pytest.mark.minutes)])
def test_client_update(request: pytest.FixtureRequest, shape: str, name: str) -> None:
    """Two epochs of two batches, the second of one image, with momentum and weight decay."""
    backbone: Backbone = request.getfixturevalue(shape)
    large = shape == "picto"  # one step there
    method, data = create(name, backbone), client(backbone, images=2 if large else 3)
    state = doubles(method)
    params = federation(local_epochs=1 if large else 2, batch_size=2)
    kept = ClientState(method.first_phase)
    start = {key: tensor.detach().clone() for key, tensor in method.tensors().items()}
    update = train_client(
        method, "c", data, start, kept, params, learning_rate=0.01, seed=7, round_index=3
    )

    names, model, buffers = spoken(data.classes.names), plain(backbone), dict[str, Tensor]()
    optimiser = Optimiser(0.01, params.momentum, params.weight_decay)
    epochs = batches_of(data, "c", 3, params, 7, one_flip=False, last_only=False)
    for batch in (batch for batches in epochs for batch in batches):
        leaves = {key: tensor.clone().requires_grad_() for key, tensor in state.items()}
        total = loss(name, batch.images, batch.labels, leaves, names, model)
        # A text is a graph of its own per class; a batch of one image leaves the gate untouched.
        slopes = torch.autograd.grad(total, list(leaves.values()))
        sgd_step(state, dict(zip(leaves, slopes, strict=True)), buffers, optimiser)

    trained = {**update.tensors, **kept.personal}
    assert trained.keys() == state.keys()
    for key, tensor in state.items():
        assert gap(trained[key], tensor) <= TOLERANCE, key
        # One step moves little, and softmax does not see a shift common to all keys.
        still = large or key == "attention.key_bias"
        assert still or gap(start[key], tensor) > 2 * TOLERANCE, f"{key} did not move"
