"""Two ways to compute y = x Wᵀ + b, equal up to rounding: ``backbone.linear`` of params.yaml.

PyTorch sends a product of fp32 matrices to MKL, which on AMD processors leaves half of their vector
width unused. A convolution with a 1 × 1 kernel is the same sum and goes to oneDNN, which does not
(docs/performance.md). The order of that sum is another, so this is a parameter of the result and
not a switch of the environment.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["LINEAR", "LinearMap", "convolution"]

LinearMap = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""Maps x [..., inputs], W [outputs, inputs] and b [outputs] to [..., outputs]."""

_FEWEST_ROWS = 128
"""Below, the work is too small to pay for a convolution's set-up."""

_IMAGES = range(16, 33)
"""PyTorch hands a convolution to oneDNN on one thread from 16 images on; rows are dealt so."""


def convolution(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return x Wᵀ + b as a convolution over rows; as a product where that is not faster.

    Parameters
    ----------
    x : Tensor of shape [..., inputs]
    weight : Tensor of shape [outputs, inputs]
    bias : Tensor of shape [outputs], optional
    """
    inputs = x.shape[-1]
    rows = x.numel() // inputs
    images = next((count for count in _IMAGES if rows % count == 0), None)
    if images is None or rows < _FEWEST_ROWS or not _gains(x):
        return F.linear(x, weight, bias)
    # Channels last: the layout the rows have already, so that nothing is copied.
    pixels = x.reshape(images, rows // images, 1, inputs).permute(0, 3, 1, 2)
    y = F.conv2d(pixels, weight[:, :, None, None], bias)
    return y.permute(0, 2, 3, 1).reshape(*x.shape[:-1], len(weight))


def _gains(x: Tensor) -> bool:
    """Tell whether `x` is fp32 on a CPU and stays so."""
    return (
        x.device.type == "cpu" and x.dtype is torch.float32 and not torch.is_autocast_enabled("cpu")
    )


LINEAR: dict[str, LinearMap] = {"matmul": F.linear, "convolution": convolution}
"""By the name params.yaml has for it."""
