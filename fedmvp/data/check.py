"""Check every image of a dataset, several at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from fedmvp.data.decode import check_image
from fedmvp.data.manifest import Image, Manifest
from fedmvp.errors import DataError

__all__ = ["check_images", "of_each"]

_T = TypeVar("_T")
_PORTION = 4096


def of_each(images: Sequence[Image], look: Callable[[Image], _T]) -> Iterator[tuple[Image, _T]]:
    """Yield each image with what `look` returns for it, in order."""
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        # In portions: a task per image of ImageNet would take a gigabyte.
        for start in range(0, len(images), _PORTION):
            portion = images[start : start + _PORTION]
            yield from zip(portion, pool.map(look, portion), strict=True)


def check_images(manifest: Manifest, base: Path) -> None:
    """Check that every file is an image of a permitted size, without decoding it.

    Parameters
    ----------
    base : Path
        Folder the manifest's paths start from.

    Raises
    ------
    DataError
        For the first one that is not, with the number of such files.
    """

    def fault(image: Image) -> DataError | None:
        try:
            check_image(base / image.path)
        except DataError as error:
            return error
        return None

    faults = [error for _, error in of_each(manifest.images, fault) if error is not None]
    if faults:
        first, count = faults[0], f" ({len(faults)} of {len(manifest.images)} images; the first)"
        raise DataError(first.what + count, where=first.where, hint=first.hint)
