"""The multi-label head under several methods against plain loops: losses and gradients, 1e-5."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

from fedmvp.clip.backbone import Backbone
from fedmvp.errors import ConfigError
from fedmvp.federation.client import ClientData
from fedmvp.methods.base import Method
from fedmvp.methods.build import build_method, method_params
from fedmvp.multilabel_config import MultiLabelParams
from tests.bridge import official_state, reference_classes, reference_clip
from tests.random_clip import random_backbone
from tests.reference.arithmetic import normalise
from tests.reference.fedmvp import PAPER, class_scores, feature
from tests.reference.many_labels import class_logits, mean_loss, pair_loss, plain_loss, tiles
from tests.reference_baselines.methods import (
    LOGITS,
    fedotp_global,
    fixed,
    frozen,
    gated_feature,
)
from tests.reference_baselines.methods import scores as class_cosines
from tests.reference_baselines.towers import image_tokens
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
PAIR = MultiLabelParams(head="pair")
REGION = MultiLabelParams(head="region")
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


@pytest.mark.parametrize("name", ["zero_shot", "promptfl", "fedvpt", "fedclip", "fedvlp"])
def test_pairs_of_texts(tiny: Backbone, name: str) -> None:
    """The same score of the text of absence is taken off."""
    method = create(name, tiny, PAIR)
    data = client(tiny, method)
    loss = method.loss(data.batch(np.arange(3), torch.Generator()), data.classes).total
    state = {k: t.detach().double() for k, t in method.tensors().items()}
    names, model = spoken(data.classes.names), plain(tiny)
    texts = [fixed("a photo without a {}.", n, model) for n in names]
    features = {
        "fedvpt": lambda view: normalise(
            image_tokens(view, model, before_norm=state["prompt"][0])[0]
        ),
        "fedclip": lambda view: gated_feature(view, state, model),
        "fedvlp": lambda view: normalise(
            image_tokens(view, model, after_norm=state["visual_prompt"][0])[0]
        ),
    }
    feature_of = features.get(name, lambda view: frozen(view, model))

    def difference(view: Tensor) -> Tensor:
        shown = LOGITS[name](view, state, names, model)
        return shown - class_cosines(feature_of(view), texts, model)

    expected = reference_loss(data, PAIR, state, float(tiny.scale), difference)
    assert abs(float(loss.detach()) - float(expected)) <= TOLERANCE


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("name", ["zero_shot", "fedvpt"])
def test_regions(name: str, whole: bool) -> None:
    """Patches' tokens, weighted by the softmax of their own similarity; CLS on request."""
    backbone = random_backbone("tiny")  # it is told to give all tokens
    params = REGION.model_copy(update={"whole": whole})
    method = create(name, backbone, params)
    data = client(backbone, method)
    batch = data.batch(np.arange(3), torch.Generator())
    loss = method.loss(batch, data.classes).total
    state = {k: t.detach().double() for k, t in method.tensors().items()}
    names, model = spoken(data.classes.names), plain(backbone)
    texts = [fixed("a photo of a {}.", n, model) for n in names]
    count = 1 + backbone.spec.vision.patches

    def pooled(view: Tensor) -> Tensor:
        prompt = state["prompt"][0] if name == "fedvpt" else None
        tokens = image_tokens(view, model, before_norm=prompt)[:count]
        rows = [class_cosines(normalise(t), texts, model) / model.scale for t in tokens]
        found = []
        for k in range(len(texts)):
            weights = [torch.exp(20.0 * row[k]) for row in rows[1:]]
            terms = [w * row[k] for w, row in zip(weights, rows[1:], strict=True)]
            region = sum(terms[1:], terms[0]) / sum(weights[1:], weights[0])
            found.append((region + rows[0][k]) / 2 if whole else region)
        return torch.stack(found) * model.scale

    expected = reference_loss(data, params, state, float(backbone.scale), pooled)
    assert abs(float(loss.detach()) - float(expected)) <= TOLERANCE


@pytest.mark.parametrize("head", ["region", "pair"])
@pytest.mark.parametrize("name", ["fedotp", "fedcocoop", "fed_dualcoop"])
def test_a_head_that_needs_one_text_is_refused(tiny: Backbone, name: str, head: str) -> None:
    with pytest.raises(ConfigError, match=f"one text for each class, which {name}"):
        create(name, tiny, MultiLabelParams(head=head))  # type: ignore[arg-type]


def test_fedmvp_learns_from_regions_with_its_consistency() -> None:
    backbone = random_backbone("tiny")
    method = create("fedmvp", backbone, REGION)
    method.enter("promptformer")
    data = client(backbone, method)
    loss = method.loss(data.batch(np.arange(3), torch.Generator().manual_seed(1)), data.classes)
    assert bool(loss.total.isfinite()) and 0 < float(loss.parts["loss_con"].detach()) < 2
    assert len(loss.logits) == 3 * (1 + backbone.spec.vision.patches)
