"""The multi-label head: losses at golden values and at extremes, views, parameters, methods."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from fedmvp.clip.backbone import Backbone
from fedmvp.errors import ConfigError
from fedmvp.federation.client import ClientData, ClientState, train_client
from fedmvp.methods import METHODS
from fedmvp.methods.build import build_method, load_method, method_params
from fedmvp.methods.multilabel_head import MultiLabelHead
from fedmvp.methods.multilabel_losses import (
    asymmetric_loss,
    binary_cross_entropy,
    per_image_mean,
)
from fedmvp.multilabel_config import MultiLabelParams
from tests.random_clip import random_backbone
from tests.toys import NAMES, federation, toy_bank

pytestmark = pytest.mark.usefixtures("words")

X = torch.tensor([[2.0, -1.0, 0.5], [-3.0, 0.0, 4.0]])
Y = torch.tensor([[1, 0, 1], [0, 0, 1]])
ABLE = sorted(name for name in METHODS if load_method(name).many_labels)


def asl(x: torch.Tensor, y: torch.Tensor, minus: float, plus: float, clip: float) -> torch.Tensor:
    return asymmetric_loss(x, y, gamma_negative=minus, gamma_positive=plus, clip=clip)


@pytest.mark.parametrize(
    ("minus", "plus", "clip", "total"),
    [(2, 1, 0.05, 0.327347), (4, 1, 0.05, 0.219523), (4, 0, 0.05, 0.644238), (0, 0, 0, 1.674151)],
)
def test_losses_at_golden_values(minus: float, plus: float, clip: float, total: float) -> None:
    assert float(asl(X, Y, minus, plus, clip).sum()) == pytest.approx(total, abs=1e-6)


def test_entries_of_the_default_loss() -> None:
    expected = [[0.015130, 0.011845, 0.178983], [0.0, 0.121062, 0.000326]]
    assert torch.allclose(asl(X, Y, 2, 1, 0.05), torch.tensor(expected), atol=1e-6)
    assert float(binary_cross_entropy(X, Y).sum()) == pytest.approx(1.674151, abs=1e-6)


@pytest.mark.parametrize(("label", "slope"), [(0, 0.180130), (1, -0.142537)])
def test_focusing_factors_carry_no_gradient(label: int, slope: float) -> None:
    x = torch.tensor([[0.5]], requires_grad=True)
    loss = asl(x, torch.tensor([[label]]), 2, 1, 0.05).sum()
    assert float(torch.autograd.grad(loss, x)[0]) == pytest.approx(slope, abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_extreme_logits_are_safe(dtype: torch.dtype) -> None:
    x = torch.tensor([[-1e4, -90.0, 90.0, 1e4]], dtype=dtype, requires_grad=True)
    for label in (0, 1):
        y = torch.full((1, 4), label)
        for losses in (asl(x, y, 2, 1, 0.05), asl(x, y, 0, 0, 0.0), binary_cross_entropy(x, y)):
            assert bool(losses.isfinite().all())
            assert bool(torch.autograd.grad(losses.sum(), x)[0].isfinite().all())
    # A wrongly certain negative keeps at most -log(clip), and has no gradient.
    worst = asl(x, torch.zeros(1, 4, dtype=torch.long), 0, 0, 0.05)
    assert float(worst.detach().max()) == pytest.approx(-math.log(0.05), abs=1e-4)


def test_unknown_pairs_are_left_out_and_weighted() -> None:
    losses = torch.tensor([[1.0, 2.0, 3.0, 4.0], [5.0, 5.0, 5.0, 5.0], [1.0, 1.0, 1.0, 1.0]])
    labels = torch.tensor([[1, -1, 0, -1], [-1, -1, -1, -1], [0, 0, 0, 1]])
    # First image: (1 + 3) · 4 / 2 = 8; the second is not counted; the third: 4.
    assert float(per_image_mean(losses, labels)) == 6.0
    none = per_image_mean(losses[1:2], labels[1:2])
    assert float(none) == 0.0


def test_tiles_stand_row_by_row() -> None:
    head = MultiLabelHead(MultiLabelParams(head="tiles", whole=True), 100.0)
    image = torch.arange(16.0).reshape(1, 1, 4, 4).expand(2, 3, 4, 4)
    views = head.views(image)
    assert views.shape == (10, 3, 2, 2)
    assert views[1, 0].tolist() == [[2.0, 3.0], [6.0, 7.0]]
    assert views[2, 0].tolist() == [[8.0, 9.0], [12.0, 13.0]]
    assert views[4, 0].tolist() == [[2.5, 4.5], [10.5, 12.5]]
    assert head.rows(torch.tensor([1])).tolist() == [5, 6, 7, 8, 9]


def test_attention_of_tiles_is_put_together() -> None:
    head = MultiLabelHead(MultiLabelParams(head="tiles"), 100.0)
    attention = torch.arange(4.0)[:, None, None].expand(4, 2, 3)  # grid of one row, two columns
    whole = head.stitched(attention, (1, 2))
    assert whole[:, 0].tolist() == [0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0]


def test_the_nearest_view_counts() -> None:
    head = MultiLabelHead(MultiLabelParams(head="tiles"), 100.0)
    scores = torch.tensor([[10.0, 0.0], [20.0, 5.0], [30.0, 1.0], [0.0, 2.0]])
    logits = head.pool(scores)
    assert torch.allclose(logits, torch.tensor([[20 * 0.3, 20 * 0.05]]), atol=1e-6)
    head.start(0.2, 0.1)
    assert float(head.bias.detach()) == pytest.approx(math.log(0.1 / 0.9) - 4.0)


@pytest.mark.parametrize(("shape", "count"), [("vit_b16", 9_845_760), ("picto", 618_240)])
def test_fedmvp_learns_two_numbers_more(shape: str, count: int) -> None:
    backbone = random_backbone(shape, layers=1)
    params = method_params("fedmvp", {})
    plain = build_method("fedmvp", backbone, params, 1)
    many = build_method("fedmvp", backbone, params, 1, MultiLabelParams(head="tiles"))
    # LoRA, which is never trained here, is no part of the published count.
    sizes = [
        sum(t.numel() for name, t in method.tensors().items() if ".lora." not in name)
        for method in (plain, many)
    ]
    assert sizes == [count, count + 2]
    assert all(torch.equal(t, many.tensors()[name]) for name, t in plain.tensors().items())
    assert many.next_phase("promptformer", type("L", (), {"first_epoch_loss": 0.0})()) != "lora"


def many_client(backbone: Backbone, head: object) -> ClientData:
    side = backbone.spec.vision.image_size * head.grid  # type: ignore[attr-defined]
    draw = np.random.default_rng(2)
    images = draw.integers(0, 256, (6, side, side, 3), dtype=np.uint8)
    labels = draw.integers(0, 2, (6, 4))
    classes = toy_bank(backbone).select(NAMES[:4])
    return ClientData(backbone, images, labels, classes, head=head)  # type: ignore[arg-type]


@pytest.mark.parametrize("head", ["image", "tiles"])
@pytest.mark.parametrize("name", [name for name in ABLE if load_method(name).trained])
def test_every_method_learns_under_it(tiny: Backbone, name: str, head: str) -> None:
    params = MultiLabelParams(head=head)  # type: ignore[arg-type]
    method = build_method(name, tiny, method_params(name, {}), 1, params)
    data = many_client(tiny, method.head)
    start = {key: tensor.detach().clone() for key, tensor in method.tensors().items()}
    state = ClientState(method.first_phase)
    losses, tensors = [], dict(start)
    for _ in range(6):
        update = train_client(
            method,
            "c",
            data,
            tensors,
            state,
            federation(batch_size=6),
            learning_rate=0.003,
            seed=1,
            round_index=0,
        )
        tensors |= update.tensors
        losses.append(update.metrics["loss"])
        assert update.metrics.keys() >= {"loss", "loss_ce", "of1"}
        assert "accuracy" not in update.metrics
    assert losses[-1] < losses[0]
    assert {"head.log_scale", "head.bias"} <= set(update.tensors)
    assert all(not torch.equal(update.tensors[k], start[k]) for k in update.tensors if "head" in k)


@pytest.mark.parametrize("name", sorted(set(METHODS) - set(ABLE)))
def test_a_method_without_such_a_loss_is_refused(tiny: Backbone, name: str) -> None:
    with pytest.raises(ConfigError, match=r"no loss for images of many labels.*fedmvp"):
        build_method(name, tiny, method_params(name, {}), 1, MultiLabelParams())
