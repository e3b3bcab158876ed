"""How attention is drawn: the share of the heat colour over each patch of an image.

Report, MLflow artifacts and ``fedmvp predict --explain`` show the same maps in this one way.
Shapes: P patches in raster order.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["draw_heat_map", "heat_opacity"]

_COLOUR = np.array((213, 94, 0), dtype=np.float32)
_STRONGEST = 0.8


def heat_opacity(weights: Sequence[float] | NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the opacity of each patch, [P]: 0 for the smallest weight, 0.8 for the largest.

    All are 0 where every patch has the same weight.
    """
    values = np.asarray(weights, dtype=np.float64)
    low, span = values.min(), float(values.max() - values.min())
    return _STRONGEST * (values - low) / span if span > 0 else np.zeros_like(values)


def draw_heat_map(
    picture: Image.Image, grid: tuple[int, int], weights: Sequence[float] | NDArray[np.float32]
) -> Image.Image:
    """Return `picture` (RGB) with the heat colour over it; `grid` is rows, columns of patches."""
    opacity = heat_opacity(weights).reshape(grid).astype(np.float32)
    fine = Image.fromarray(opacity).resize(picture.size, Image.Resampling.NEAREST)
    alpha = np.asarray(fine)[..., None]
    blended = np.asarray(picture, dtype=np.float32) * (1 - alpha) + _COLOUR * alpha
    return Image.fromarray(blended.round().astype(np.uint8))
