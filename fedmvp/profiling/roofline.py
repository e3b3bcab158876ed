"""Floating-point operations of the bare tower, and the rate of a large matrix product beside it."""

from __future__ import annotations

from collections.abc import Callable

import torch

from fedmvp.clip.backbone import Backbone
from fedmvp.clip.spec import BackboneSpec
from fedmvp.seeds import torch_generator

__all__ = ["forward_flop", "matrix_product", "product_flop"]


def forward_flop(spec: BackboneSpec) -> int:
    """Return the floating-point operations of an image's forward through the bare tower.

    Two a multiply-add; of the blocks' products alone (docs/performance.md).
    """
    vision = spec.vision
    tokens, width = 1 + vision.patches, vision.width
    linear = 4 * width + 2 * vision.mlp_width
    return 2 * vision.layers * tokens * (width * linear + 2 * tokens * width)


def product_flop(device: torch.device) -> int:
    """Return the floating-point operations of `matrix_product`."""
    return 2 * _side(device) ** 3


def _side(device: torch.device) -> int:
    return 2048 if device.type == "cpu" else 8192


def matrix_product(backbone: Backbone) -> Callable[[], object]:
    """Return the product of two large matrices in the backbone's precision: the device's best."""
    side = _side(backbone.device)
    draw = torch_generator(0, "bench/product")
    left, right = (torch.randn(side, side, generator=draw).to(backbone.device) for _ in range(2))
    with backbone.autocast():
        dtype = torch.mm(left[:1], right[:, :1]).dtype
    left, right = left.to(dtype), right.to(dtype)
    return lambda: torch.mm(left, right)
