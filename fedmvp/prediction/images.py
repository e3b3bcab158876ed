"""Images of a prediction, decoded as the pipeline decodes its own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedmvp.data.decode import decode_image
from fedmvp.errors import DataError

__all__ = ["decode_files"]


def decode_files(paths: Sequence[Path], size_px: int) -> NDArray[np.uint8]:
    """Return the images as RGB, ``(len(paths), size_px, size_px, 3)``.

    Raises
    ------
    DataError
        Naming the first file that is missing, truncated or no image, before any is classified.
    """
    images = np.empty((len(paths), size_px, size_px, 3), dtype=np.uint8)
    # Pillow releases the interpreter lock while it decodes and resizes.
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for row, image in enumerate(pool.map(lambda path: _decode(path, size_px), paths)):
            images[row] = image
    return images


def _decode(path: Path, size_px: int) -> NDArray[np.uint8]:
    try:
        return decode_image(path, size_px)
    except DataError as error:
        raise DataError(
            error.what, where=path, mend="give a whole PNG, JPEG, WebP, GIF, BMP or TIFF file"
        ) from None
