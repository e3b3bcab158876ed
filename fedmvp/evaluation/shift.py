"""Shift: how far a dataset's images lie from what the image tower was trained on.

Patches are compared, not features: the effects of a camera (light, grain, blur) are in every patch,
while features also depend on what the images show. For each dimension of the patch embedding,
without positions, mean and standard deviation over all patches are compared with reference
statistics of the backbone (`fedmvp.evaluation.shift_reference`).

Shapes: N images of S x S pixels, d token width, D dimensions of a statistic (d, or 3 channels).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedmvp.clip.backbone import Backbone

__all__ = [
    "ImageStatistics",
    "Moments",
    "brightness",
    "contrast",
    "distance",
    "image_statistics",
    "pixel_words",
    "pooled",
]

_BATCH = 32

_SEEN = 5.0
"""Levels (of 0 to 255) from which a difference in brightness or contrast is mentioned."""


@dataclass(frozen=True)
class Moments:
    """Mean and standard deviation of each dimension.

    Parameters
    ----------
    mean, std : ndarray of float64, shape [D]
    """

    mean: NDArray[np.float64]
    std: NDArray[np.float64]


@dataclass(frozen=True)
class ImageStatistics:
    """Statistics of some images.

    Parameters
    ----------
    images : int
    patches : Moments of d dimensions
        Of the patch embeddings, without positional embedding.
    pixels : Moments of 3 dimensions
        Of red, green and blue, 0 to 255.
    """

    images: int
    patches: Moments
    pixels: Moments


@torch.no_grad()
def image_statistics(backbone: Backbone, images: NDArray[np.uint8]) -> ImageStatistics:
    """Return the statistics of patches and pixels, summed in float64.

    Parameters
    ----------
    images : ndarray of uint8, shape [N, S, S, 3]
        At least one.
    """
    width = backbone.spec.vision.width
    patches, pixels = np.zeros((3, width)), np.zeros((3, 3))
    for start in range(0, len(images), _BATCH):
        batch = np.ascontiguousarray(images[start : start + _BATCH])
        embedded = backbone.vision.conv1(backbone.normalise(batch)).transpose(0, 1)
        patches += _sums(embedded.reshape(width, -1))
        pixels += _sums(torch.from_numpy(batch).reshape(-1, 3).T)
    return ImageStatistics(len(images), _moments(*patches), _moments(*pixels))


def _sums(values: Tensor) -> NDArray[np.float64]:
    """Return the number, sum and sum of squares of each row's values, [D, n] -> [3, D]."""
    exact = values.double()
    count = torch.full_like(exact[:, 0], exact.shape[1])
    return torch.stack([count, exact.sum(dim=1), exact.square().sum(dim=1)]).cpu().numpy()


def _moments(
    count: NDArray[np.float64], first: NDArray[np.float64], second: NDArray[np.float64]
) -> Moments:
    mean = first / count
    # Rounding may make the variance of a constant dimension slightly negative.
    return Moments(mean, np.sqrt(np.maximum(second / count - mean**2, 0.0)))


def pooled(parts: Sequence[tuple[float, ImageStatistics]]) -> ImageStatistics:
    """Return the statistics of several groups of images together.

    Parameters
    ----------
    parts : sequence of (float, ImageStatistics)
        Each group's weight, e.g. its number of images, and its statistics.
    """
    weights = np.array([weight for weight, _ in parts]) / sum(weight for weight, _ in parts)

    def mix(moments: Iterable[Moments]) -> Moments:
        pairs = list(zip(weights, moments, strict=True))
        first = sum(w * m.mean for w, m in pairs)
        second = sum(w * (m.std**2 + m.mean**2) for w, m in pairs)
        return _moments(np.ones(1), np.asarray(first), np.asarray(second))

    return ImageStatistics(
        sum(statistics.images for _, statistics in parts),
        mix(statistics.patches for _, statistics in parts),
        mix(statistics.pixels for _, statistics in parts),
    )


def distance(found: Moments, reference: Moments) -> float:
    """Return mean over dimensions of ((μ - μ₀)² + (σ - σ₀)²) / σ₀²; 0 for equal statistics.

    The sum of (μ - μ₀)² + (σ - σ₀)² is the squared Fréchet distance of two Gaussians with diagonal
    covariances (Dowson and Landau 1982; the Fréchet Inception distance applies it to features of
    another network). Division by σ₀² gives every dimension the same weight, whatever its scale: a
    value of 1 means that the mean is one standard deviation off in each of them.
    """
    gaps = (found.mean - reference.mean) ** 2 + (found.std - reference.std) ** 2
    return float(np.mean(gaps / reference.std**2))


def brightness(pixels: Moments) -> float:
    """Return the mean over channels of their means, 0 to 255."""
    return float(pixels.mean.mean())


def contrast(pixels: Moments) -> float:
    """Return the mean over channels of their standard deviations, in levels of 255."""
    return float(pixels.std.mean())


def pixel_words(found: Moments, reference: Moments) -> str:
    """Return how brightness, contrast and colour differ, in words and numbers.

    The balance of a channel is its mean divided by that of all three, relative to the reference's.
    """
    light, light0 = brightness(found), brightness(reference)
    spread, spread0 = contrast(found), contrast(reference)
    balance = found.mean / max(light, 1e-9) / (reference.mean / light0) - 1
    colours = ", ".join(
        f"{name} {share:+.0%}"
        for name, share in zip(("red", "green", "blue"), balance, strict=True)
    )
    return (
        f"{_word(light - light0, 'brighter', 'darker', 'as bright')} "
        f"(mean {light:.0f} of 255, reference {light0:.0f}), "
        f"{_word(spread - spread0, 'more contrast', 'less contrast', 'like contrast')} "
        f"(standard deviation {spread:.0f}, reference {spread0:.0f}), "
        f"colour balance {colours}"
    )


def _word(difference: float, more: str, less: str, alike: str) -> str:
    if abs(difference) < _SEEN:
        return alike
    return more if difference > 0 else less
