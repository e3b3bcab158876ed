"""Decode one image file as CLIP's evaluation preprocessing does, short of normalisation.

Resize the short side (bicubic), crop the centre, RGB (docs/method.md#preprocessing). Written with
Pillow alone: importing torchvision costs seconds.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from fedmvp.errors import DataError, TooLarge

__all__ = ["decode_image"]

# What datasets hold. Pillow knows others, and starts Ghostscript for one of them.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
_MAX_ASPECT = 100
"""A thin line a pixel high, resized to the model's height, would fill the memory."""
_HINT = "replace the file, or remove the dataset's folder to fetch it again"


def decode_image(path: Path, size_px: int, most_pixels: int | None = None) -> NDArray[np.uint8]:
    """Return the image as RGB, ``(size_px, size_px, 3)``.

    Rotation by EXIF is applied, transparency is laid on white, and greyscale, 16-bit, palette and
    CMYK images become RGB. The format is told from the content, not the name.

    Parameters
    ----------
    most_pixels : int, optional
        Of the image as it is stored; by default what Pillow takes for a bomb is refused, some 179
        million.

    Raises
    ------
    TooLarge
        When it has more pixels; none is decoded.
    DataError
        When the file is missing, truncated, no image or absurdly large or thin.
    """
    try:
        with Image.open(path, formats=_FORMATS) as opened:
            if max(opened.size) > _MAX_ASPECT * min(opened.size):
                raise ValueError(f"one side is more than {_MAX_ASPECT} times the other")
            if most_pixels is not None and opened.width * opened.height > most_pixels:
                raise _too_large(path, most_pixels)
            upright = ImageOps.exif_transpose(opened)
            image = _centre_crop(_resize(_to_rgb(upright), size_px), size_px)
            return np.asarray(image, dtype=np.uint8)
    except FileNotFoundError:
        raise DataError("image is missing", where=path, hint=_HINT) from None
    except TooLarge:
        raise
    except Image.DecompressionBombError:
        raise _too_large(path, most_pixels or 2 * (Image.MAX_IMAGE_PIXELS or 0)) from None
    except Exception as error:  # the parsers of foreign bytes raise many kinds
        raise DataError(f"image cannot be decoded ({error})", where=path, hint=_HINT) from None


def _too_large(path: Path, most_pixels: int) -> TooLarge:
    return TooLarge(f"image has more than {most_pixels:,} pixels", where=path,
                    hint="make it smaller")  # fmt: skip


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        # Pillow clips 16-bit values to 255 instead of scaling them.
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def _resize(image: Image.Image, size_px: int) -> Image.Image:
    width, height = image.size
    # The long side is cut, not rounded, as torchvision does.
    size = (
        (size_px, int(size_px * height / width))
        if width <= height
        else (int(size_px * width / height), size_px)
    )
    return image.resize(size, Image.Resampling.BICUBIC)


def _centre_crop(image: Image.Image, size_px: int) -> Image.Image:
    left = round((image.width - size_px) / 2.0)
    top = round((image.height - size_px) / 2.0)
    return image.crop((left, top, left + size_px, top + size_px))
