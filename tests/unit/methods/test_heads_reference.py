"""The multi-label head under several methods against plain loops: losses and gradients, 1e-5."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

from fedmvp.clip.backbone import Backbone
from fedmvp.federation.client import ClientData
from fedmvp.methods.base import Method
from fedmvp.methods.build import build_method, method_params
from fedmvp.multilabel_config import MultiLabelParams
from tests.bridge import official_state, reference_classes, reference_clip
from tests.reference.fedmvp import PAPER, class_scores, feature
from tests.reference.many_labels import class_logits, mean_loss, pair_loss, plain_loss, tiles
from tests.reference_baselines.methods import LOGITS, fedotp_global
from tests.toys import NAMES, shake, toy_bank
from tests.unit.baselines.test_reference import plain, spoken

pytestmark = pytest.mark.usefixtures("words")

TOLERANCE = 1e-5
HEADS = {
    "image": MultiLabelParams(),
    "tiles": MultiLabelParams(head="tiles"),
    "tiles and whole, bce": MultiLabelParams(head="tiles", whole=True, loss="bce", loss_weight=0.6),
}
LABELS = [[1, 0, 1], [0, -1, 0], [-1, -1, -1]]
CHEAP = (
    "zero_shot",
    "promptfl",
    "fedvpt",
    "fedmaple",
    "fedtpg",
    "fedclip",
    "fedvlp",
    "fed_dualcoop",
)


def create(name: str, backbone: Backbone, params: MultiLabelParams) -> Method:
    method = build_method(name, backbone, method_params(name, {}), 1, params)
    shake(method)
    method.head.bias.data.fill_(-3.0)
    return method


def client(backbone: Backbone, method: Method) -> ClientData:
    side = method.head.grid * backbone.spec.vision.image_size
    draw = np.random.default_rng(5)
    images = draw.integers(0, 256, (len(LABELS), side, side, 3), dtype=np.uint8)
    classes = toy_bank(backbone).select(NAMES[:3])
    return ClientData(backbone, images, np.array(LABELS), classes, head=method.head)


def reference_loss(
    data: ClientData,
    params: MultiLabelParams,
    state: dict[str, Tensor],
    scale: float,
    scores: object,
) -> Tensor:
    """Return the loss of all images of a client, differentiable in `state`."""
    pixels = data.backbone.normalise(data.images).double()
    logits = [
        class_logits(
            tiles(image, params.grid, whole=params.whole) if params.grid > 1 else [image],
            lambda view: scores(view) / scale,  # type: ignore[operator]
            state["head.log_scale"][0],
            state["head.bias"][0],
        )
        for image in pixels
    ]
    focus = {"minus": params.gamma_negative, "plus": params.gamma_positive, "clip": params.clip}
    of_pair = plain_loss if params.loss == "bce" else partial(pair_loss, **focus)
    return params.loss_weight * mean_loss(logits, LABELS, of_pair)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("name", CHEAP)
def test_loss_and_gradients(tiny: Backbone, name: str, head: str) -> None:
    params = HEADS[head]
    method = create(name, tiny, params)
    data = client(tiny, method)
    own = method.tensors()
    loss = method.loss(data.batch(np.arange(3), torch.Generator()), data.classes).total
    slopes = torch.autograd.grad(loss, list(own.values()), allow_unused=True)

    state = {k: t.detach().double().requires_grad_() for k, t in own.items()}
    names, model = spoken(data.classes.names), plain(tiny)
    scores = lambda view: LOGITS[name](view, state, names, model)  # noqa: E731
    expected = reference_loss(data, params, state, float(tiny.scale), scores)
    wanted = torch.autograd.grad(expected, list(state.values()), allow_unused=True)

    assert abs(float(loss.detach()) - float(expected.detach())) <= TOLERANCE
    assert float(loss.detach()) > 100 * TOLERANCE
    for key, slope, reference in zip(own, slopes, wanted, strict=True):
        assert slope is not None and reference is not None, key
        assert float((slope.double() - reference).abs().max()) <= TOLERANCE, key
        assert bool(slope.any()), key


@pytest.mark.parametrize("head", HEADS)
def test_fedmvp(tiny: Backbone, head: str) -> None:
    """FedMVP's loss without its consistency, which the head does not touch."""
    params = HEADS[head]
    section = method_params("fedmvp", {"consistency_weight": 0.0})
    method = build_method("fedmvp", tiny, section, 1, params)
    shake(method)
    method.head.bias.data.fill_(-3.0)
    method.enter("promptformer")
    data = client(tiny, method)
    loss = method.loss(data.batch(np.arange(3), torch.Generator()), data.classes).total
    clip = reference_clip(tiny)
    classes = reference_classes(data.classes, method)
    own = {k: t.detach().double() for k, t in method.tensors().items()}
    official = official_state({k: t for k, t in method.tensors().items() if "head" not in k})

    def scores(view: Tensor) -> Tensor:
        v = feature(view, classes, official, PAPER, clip, lora=False)
        # The head compares with sentences' means of length one.
        lengths = torch.stack([texts.mean(dim=0).norm() for texts in classes.sentences])
        return class_scores(v, classes, clip) / lengths

    expected = reference_loss(data, params, own, float(tiny.scale), scores)
    assert abs(float(loss.detach()) - float(expected)) <= TOLERANCE


def test_fedotp_as_the_server(tiny: Backbone) -> None:
    params = HEADS["tiles"]
    method = create("fedotp", tiny, params)
    method.enter(None)
    data = client(tiny, method)
    batch = data.batch(np.arange(3), torch.Generator())
    ours = method.head.pool(method.logits(batch.images, data.classes))
    state = {k: t.detach().double() for k, t in method.tensors().items()}
    names, model = spoken(data.classes.names), plain(tiny)
    for image, logits in zip(tiny.normalise(data.images).double(), ours, strict=True):
        expected = class_logits(
            tiles(image, 2, whole=False),
            lambda view: fedotp_global(view, state, names, model) / float(tiny.scale),
            state["head.log_scale"][0],
            state["head.bias"][0],
        )
        assert float((logits.detach().double() - torch.stack(expected)).abs().max()) <= TOLERANCE
