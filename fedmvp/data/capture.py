"""Change a clean image as a site's camera would: blur, light, grain, 8 bits.

The result depends only on the camera and the image's id, and has the same bytes on every platform:
factors are float64, applied one operation at a time, the grain is a sum of bytes, and Pillow's blur
works on integers. Only the blur's weights are float32. Up to a standard deviation of √2 pixels,
they do not depend on whether a compiler fuses operations; beyond that, the last of their 24 bits
may (Pillow's ``BoxBlur.c``).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from fedmvp.catalog.cameras import Camera
from fedmvp.seeds import numpy_generator

__all__ = ["CAPTURE_VERSION", "GRAIN_PX", "photograph"]

CAPTURE_VERSION = 1
"""Increased when cameras change their output, so that images decoded before are not used."""

GRAIN_PX = 64
"""Number of grains along an image's side, the unit of a `Camera`'s lengths."""

_SUMMED = 12
"""Bytes summed for one value of the grain; their sum is close to normal."""


def photograph(pixels: NDArray[np.uint8], camera: Camera, image_id: str) -> NDArray[np.uint8]:
    """Return the image as the camera sees it.

    Parameters
    ----------
    pixels : ndarray of uint8, shape [S, S, 3]
    camera : Camera
        The camera at the desired severity.
    image_id : str
        Determines exposure and grain; another image with the same camera differs in both.

    Returns
    -------
    ndarray of uint8, shape [S, S, 3]
    """
    side = len(pixels)
    draws = numpy_generator(0, "capture", image_id)
    words = draws.bit_generator.random_raw(2)
    # 53 bits of each word, in [-1, 1].
    exposure_draw, noise_draw = ((int(word) >> 11) / 2**52 - 1 for word in words)
    if camera.blur:
        blur = ImageFilter.GaussianBlur(camera.blur * side / GRAIN_PX)
        pixels = np.asarray(Image.fromarray(pixels).filter(blur), dtype=np.uint8)
    exposure = camera.exposure * (1 + camera.exposure_spread * exposure_draw)
    # In place from here on: with 224 pixels a copy takes 1.2 MB in each thread.
    values = pixels.astype(np.float64)
    values *= exposure * np.array(camera.cast)
    sigma = 255 * camera.noise * (1 + camera.noise_spread * noise_draw)
    if sigma:
        values += sigma * _grain(side, draws)
    np.rint(values, out=values)
    np.clip(values, 0, 255, out=values)
    return values.astype(np.uint8)


def _grain(side: int, draws: np.random.Generator) -> NDArray[np.float64]:
    """Return independent values of mean 0 and variance 1, one per grain, [S, S, 3]."""
    count = GRAIN_PX * GRAIN_PX * 3 * _SUMMED
    raw = draws.bit_generator.random_raw(count // 8).astype("<u8").view(np.uint8)
    sums = raw.reshape(GRAIN_PX, GRAIN_PX, 3, _SUMMED).sum(axis=-1, dtype=np.int64)
    # A byte has mean 255 / 2 and variance (256² - 1) / 12.
    grain: NDArray[np.float64] = (2 * sums - 255 * _SUMMED) / (2 * math.sqrt(_SUMMED * 65535 / 12))
    place = np.arange(side) * GRAIN_PX // side
    return grain[np.ix_(place, place)]
