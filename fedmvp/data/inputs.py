"""Images in any form that Python users have: Pillow's, arrays, tensors, bytes, paths and folders.

All of them go through the same preprocessing, `fedmvp.data.decode`, so an image gives the same
pixels in whichever form it comes. torch is not imported: a tensor is recognised by its methods.

Shapes: N images, S side of the square the model sees.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fedmvp.data.decode import MAX_PIXELS, decode_image, fit_image
from fedmvp.data.formats import readable_formats
from fedmvp.data.readers.image_files import is_image
from fedmvp.errors import DataError, TooLarge

__all__ = ["Inputs", "image_files", "read_images"]

_KINDS = "give Pillow images, arrays [H, W, 3], tensors [3, H, W], bytes, paths or folders"
_CHANNELS = 3
_GIVE = "give a folder with images, of JPEG or PNG for instance"


@dataclass(frozen=True)
class Inputs:
    """Images ready for a model.

    Parameters
    ----------
    pixels : ndarray of shape [N, S, S, 3], uint8
    names : tuple of str, [N]
        The path of a file; ``image <place>`` for everything else.
    """

    pixels: NDArray[np.uint8]
    names: tuple[str, ...]


def read_images(images: Any, size_px: int) -> Inputs:
    """Return the pixels of one image or any number of them.

    Parameters
    ----------
    images : image or iterable of images
        A Pillow image; the bytes of an image file; a path, or a folder, which stands for all
        images in it and below; an array [H, W], [H, W, 3 or 4] or [N, H, W, 3 or 4]; a tensor
        [1 or 3, H, W] or [N, 1 or 3, H, W] on any device. Whole numbers are 0..255, others 0..1,
        un-normalised.
    size_px : int
        S.

    Raises
    ------
    DataError
        Naming the first one that is not an image, before any is used.
    """
    each = list(_each(images))
    names = tuple(
        os.fspath(image) if isinstance(image, str | os.PathLike) else f"image {place}"
        for place, image in enumerate(each)
    )
    pixels = np.empty((len(each), size_px, size_px, _CHANNELS), dtype=np.uint8)
    # Pillow releases the interpreter lock while it decodes and resizes.
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for row, image in enumerate(pool.map(partial(_pixels, size_px=size_px), each, names)):
            pixels[row] = image
    return Inputs(pixels, names)


def image_files(paths: Sequence[Path]) -> list[Path]:
    """Return the image files: a file counts whatever its name, a folder stands for all its images.

    Folders are searched at any depth and sorted by path; files without an image's suffix and hidden
    files are left out.

    Raises
    ------
    DataError
        When a path does not exist, or a folder contains no image.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            below = [file for file in sorted(path.rglob("*")) if _is_shown_image(path, file)]
            if not below:
                raise DataError("no image in this folder", where=path, hint=_GIVE)
            found += below
        elif path.is_file():
            found.append(path)
        else:
            raise DataError("no such image file or folder", where=path, hint="correct the path")
    return found


def _is_shown_image(folder: Path, file: Path) -> bool:
    hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    return not hidden and is_image(file.name) and file.is_file()


def _each(images: Any) -> Iterator[Any]:
    """Yield single images: files of folders, rows of batches."""
    if isinstance(images, str | os.PathLike):
        yield from image_files([Path(images)])
    elif isinstance(images, Image.Image | bytes | bytearray):
        yield images
    elif hasattr(images, "ndim"):
        array = _array(images)
        yield from array if array.ndim == 4 else [array]
    elif isinstance(images, Iterable):
        for image in images:
            yield from _each(image)
    else:
        raise DataError("not an image", where="images", value=type(images).__name__, hint=_KINDS)


def _array(value: Any) -> NDArray[Any]:
    """Return an array, or a tensor with its channels last."""
    if not hasattr(value, "detach"):
        return np.asarray(value)
    tensor = value.detach().cpu()
    if tensor.is_floating_point():
        tensor = tensor.float()  # numpy has no bfloat16
    array = np.asarray(tensor.numpy())
    return np.moveaxis(array, -3, -1) if array.ndim >= _CHANNELS else array


def _pixels(image: Any, name: str, size_px: int) -> NDArray[np.uint8]:
    if isinstance(image, str | os.PathLike):
        return decode_image(Path(image), size_px)
    try:
        if isinstance(image, bytes | bytearray):
            with Image.open(io.BytesIO(image), formats=readable_formats()) as opened:
                return _fitted(opened, size_px)
        if isinstance(image, Image.Image):
            return _fitted(image, size_px)
        return _fitted(Image.fromarray(_bytes_of(image, name)), size_px)
    except DataError:
        raise
    except Image.DecompressionBombError:
        raise TooLarge("image has too many pixels", where=name, hint="scale it down") from None
    except Exception as error:  # parsers of untrusted bytes raise many kinds
        raise DataError(f"image cannot be decoded ({error})", where=name, hint=_KINDS) from None


def _fitted(image: Image.Image, size_px: int) -> NDArray[np.uint8]:
    if image.width * image.height > MAX_PIXELS:
        raise Image.DecompressionBombError
    if not image.width or not image.height:
        raise ValueError("it has no pixels")
    return fit_image(image, size_px)


def _bytes_of(array: NDArray[Any], name: str) -> NDArray[np.uint8]:
    """Return an array [H, W] or [H, W, channels] as bytes."""
    if array.ndim == _CHANNELS and array.shape[2] == 1:
        array = array[:, :, 0]
    colours = array.shape[2] if array.ndim == _CHANNELS else _CHANNELS
    if array.ndim not in (2, _CHANNELS) or colours not in (3, 4) or not array.size:
        raise DataError(f"shape {array.shape} is not an image's", where=name, hint=_KINDS)
    if array.dtype == np.uint8:
        return array
    whole = np.issubdtype(array.dtype, np.integer)
    if not whole and not np.issubdtype(array.dtype, np.floating):
        raise DataError(f"{array.dtype} values are not pixels", where=name, hint=_KINDS)
    highest = 255 if whole else 1
    if not (array.min() >= 0 and array.max() <= highest):  # true for NaN, too
        raise DataError(
            f"pixels are outside 0..{highest}",
            where=name,
            value=[float(array.min()), float(array.max())],
            hint="give the image before it is normalised: whole numbers 0..255, or others 0..1",
        )
    scaled: NDArray[np.uint8] = (array if whole else np.rint(array * 255)).astype(np.uint8)
    return scaled
