"""Images of a request, decoded as the pipeline decodes its own."""

from __future__ import annotations

import base64
import binascii
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fedmvp.data.decode import MAX_PIXELS, decode_image
from fedmvp.errors import DataError, TooLarge
from fedmvp.prediction.limits import Budget

__all__ = ["decode_values"]

_SEND = "send base64 of an image file, or pixels [H][W][3] in 0..255"
_DATA_URL = re.compile(r"^data:[\w/+.-]*;base64,")


def decode_values(
    values: Sequence[Any], size_px: int, budget: Budget | None = None
) -> NDArray[np.uint8]:
    """Return the images of a request as RGB, ``(len(values), size_px, size_px, 3)``.

    Parameters
    ----------
    values : sequence
        Each a base64 text (or data URL) or the bytes of an image file, or pixels [H, W, 3] in
        0..255.
    budget : Budget, optional
        The request's limits.

    Raises
    ------
    DataError
        Naming the first that is not an image by its place.
    TooLarge, TooSlow
        When the request goes over its limits.
    """
    most_pixels = MAX_PIXELS
    if budget is not None:
        budget.require_images(len(values))
        most_pixels = budget.limits.pixels
    images = np.empty((len(values), size_px, size_px, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory(prefix="fedmvp-") as folder:
        for place, value in enumerate(values):
            if budget is not None:
                budget.require_time()
            path = _to_file(value, Path(folder), place)
            try:
                images[place] = decode_image(path, size_px, most_pixels)
            except TooLarge as error:
                raise TooLarge(
                    error.what,
                    where=_where(place),
                    hint="send it smaller; FEDMVP_SERVE_PIXELS is the server's limit",
                ) from None
            except DataError:
                raise _no_image(place, "image cannot be decoded") from None
            path.unlink()
    return images


def _to_file(value: Any, folder: Path, place: int) -> Path:
    """Write one image of a request to a file, for the decoder that all images go through."""
    path = folder / f"image-{place}"
    if isinstance(value, str):
        try:
            value = base64.b64decode(_DATA_URL.sub("", value, count=1), validate=True)
        except (binascii.Error, ValueError):
            raise _no_image(place, "text is not base64") from None
    if isinstance(value, bytes | bytearray):
        path.write_bytes(value)
        return path
    Image.fromarray(_pixels(value, place)).save(path, format="PNG")
    return path


def _pixels(value: Any, place: int) -> NDArray[np.uint8]:
    try:
        pixels = np.asarray(value if isinstance(value, np.ndarray) else list(value))
        if pixels.dtype == object:
            pixels = np.asarray(pixels.tolist())
    except (TypeError, ValueError):
        raise _no_image(place, "neither text nor pixels") from None
    whole = np.issubdtype(pixels.dtype, np.number) and bool((pixels == np.round(pixels)).all())
    if pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size or not whole:
        raise _no_image(place, f"pixels of shape {pixels.shape} are not [H, W, 3] whole numbers")
    if pixels.min() < 0 or pixels.max() > 255:
        raise _no_image(place, "pixels are outside 0..255")
    return pixels.astype(np.uint8)


def _no_image(place: int, what: str) -> DataError:
    return DataError(what, where=_where(place), hint=_SEND)


def _where(place: int) -> str:
    return f"image {place} of the request"
