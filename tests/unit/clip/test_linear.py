"""Linear maps as convolutions: the same numbers up to rounding, and where they are taken."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fedmvp.clip.backbone import Backbone
from fedmvp.linear import convolution
from fedmvp.methods.build import build_method, method_params
from fedmvp.methods.fedmvp import FedMVP
from tests.toys import NAMES, toy_bank, toy_client

pytestmark = pytest.mark.usefixtures("words")

# Rows that can be dealt to images, that cannot, too few, and with leading axes.
SHAPES = [(1104, 24), (6, 69, 24), (16, 69, 24), (2, 3, 64, 24), (127, 24), (131, 24), (4, 24)]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_value_and_gradients(shape: tuple[int, ...], bias: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator, requires_grad=True)
    weight = torch.randn(10, 24, generator=generator, requires_grad=True)
    offset = torch.randn(10, generator=generator, requires_grad=True) if bias else None
    along = torch.randn(*shape[:-1], 10, generator=generator)
    inputs = [tensor for tensor in (x, weight, offset) if tensor is not None]
    ours = convolution(x, weight, offset)
    expected = F.linear(x, weight, offset)
    assert ours.shape == expected.shape
    assert torch.allclose(ours, expected, atol=1e-4)
    for slope, wanted in zip(
        torch.autograd.grad(ours, inputs, along),
        torch.autograd.grad(expected, inputs, along),
        strict=True,
    ):
        assert torch.allclose(slope, wanted, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("shape", "taken"),
    [(s, s not in {(127, 24), (131, 24), (4, 24)}) for s in SHAPES],
)
def test_where_a_convolution_is_taken(shape: tuple[int, ...], taken: bool) -> None:
    with mock.patch("torch.nn.functional.conv2d", wraps=F.conv2d) as conv:
        convolution(torch.ones(shape), torch.ones(10, 24))
    assert conv.called == taken


def test_other_arithmetic_stays_a_product() -> None:
    with mock.patch("torch.nn.functional.conv2d", wraps=F.conv2d) as conv:
        convolution(torch.ones(1024, 24, dtype=torch.float64), torch.ones(10, 24).double())
        with torch.autocast("cpu", dtype=torch.bfloat16):
            convolution(torch.ones(1024, 24), torch.ones(10, 24))
    assert not conv.called


def test_a_training_step_uses_them_and_is_the_same(picto: Backbone) -> None:
    """Features, loss and gradients of FedMVP with either kind agree to rounding."""
    losses, slopes, calls = [], [], []
    for kind in ("matmul", "convolution"):
        backbone = Backbone.from_state(picto.spec, picto.state_dict(), linear=kind)
        data = toy_client(toy_bank(backbone), NAMES[:3], per_class=8)
        method = build_method("fedmvp", backbone, method_params("fedmvp", {}), 1)
        assert isinstance(method, FedMVP)
        names = method.trainable("promptformer")
        with mock.patch("torch.nn.functional.conv2d", wraps=F.conv2d) as conv:
            batch = data.batch(np.arange(16), torch.Generator().manual_seed(0))
            loss = method.loss(batch, data.classes).total
            found = torch.autograd.grad(loss, [method.tensors()[name] for name in names])
        losses.append(float(loss.detach()))
        slopes.append(dict(zip(names, found, strict=True)))
        calls.append(conv.call_count)
    assert calls[1] > calls[0] + 20  # besides the patch embedding, a convolution in either
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    for name, slope in slopes[0].items():
        assert torch.allclose(slope, slopes[1][name], rtol=1e-3, atol=1e-5), name


def test_caches_are_apart(picto: Backbone) -> None:
    """A feature rounded one way is never read by a run that rounds the other."""
    other = Backbone.from_state(picto.spec, picto.state_dict(), linear="convolution")
    assert other.identity != picto.identity
    assert "linear" not in picto.identity  # what was cached before stays valid
