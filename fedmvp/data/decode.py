"""Decode one image file as CLIP's evaluation preprocessing does, except for normalisation.

Resize the short side (bicubic), crop the centre, RGB (docs/method.md#preprocessing). Written with
Pillow alone: importing torchvision costs seconds.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from fedmvp.data.formats import needs_plugin, readable_formats
from fedmvp.data.marker import fetched_folder
from fedmvp.data.scene_recipes import is_scene
from fedmvp.data.scenes import compose_at
from fedmvp.errors import DataError, TooLarge

__all__ = ["MAX_PIXELS", "check_image", "decode_image", "fit_image"]

MAX_PIXELS = 178_956_970
"""Pillow's own limit: half a gigabyte in memory."""
_MAX_ASPECT = 100
"""Without it, an image one pixel high, resized to the model's height, would fill the memory."""

# Pillow warns of large images and odd tags; the code below raises errors where needed.
warnings.filterwarnings("ignore", module=r"PIL\.")


def decode_image(path: Path, size_px: int, most_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Return the image as RGB, ``(size_px, size_px, 3)``.

    EXIF rotation is applied, transparent images are put on white, and greyscale, 16-bit, palette
    and CMYK images become RGB. The format is detected by content, not by name. A scene
    (`fedmvp.data.scenes`) is composed.

    Parameters
    ----------
    most_pixels : int, default=178_956_970
        Largest number of pixels of the stored image.

    Raises
    ------
    TooLarge
        When it has more pixels; none is decoded.
    DataError
        When the file is missing, truncated, not an image, or extremely large or thin.
    """
    with _opened(path, most_pixels) as opened:
        return fit_image(opened, size_px)


def fit_image(image: Image.Image, size_px: int) -> NDArray[np.uint8]:
    """Return an open image as RGB, ``(size_px, size_px, 3)``; see `decode_image`.

    Raises
    ------
    OSError, ValueError
        As Pillow does, when its content is damaged or cut short.
    """
    upright = ImageOps.exif_transpose(image)
    fitted = _centre_crop(_resize(_to_rgb(upright, image.format), size_px), size_px)
    return np.asarray(fitted, dtype=np.uint8)


def check_image(path: Path) -> None:
    """Check the header of an image file: its format and size.

    Raises
    ------
    DataError
        When the file is missing, not an image, or extremely large or thin; not when truncated.
    """
    with _opened(path, MAX_PIXELS):
        pass


@contextmanager
def _opened(path: Path, most_pixels: int) -> Iterator[Image.Image]:
    """Open an image; any problem, also while it is being read, becomes a DataError."""
    try:
        image = compose_at(path) if is_scene(path) else Image.open(path, formats=readable_formats())
        with image as opened:
            width, height = opened.size
            if width * height > most_pixels:
                raise Image.DecompressionBombError
            if max(opened.size) > _MAX_ASPECT * min(opened.size):
                raise ValueError(f"one side is more than {_MAX_ASPECT} times the other")
            yield opened
    except DataError:  # from a scene's recipe or drawings
        raise
    except FileNotFoundError:
        raise DataError("image is missing", where=path, hint=_hint(path)) from None
    except Image.DecompressionBombError:
        raise TooLarge(
            f"image has more than the {most_pixels:,} pixels that are read",
            where=path,
            hint="scale it down: a model sees at most a few hundred pixels a side",
        ) from None
    except Exception as error:  # parsers of untrusted bytes raise many kinds
        if needs_plugin(path.name):
            raise DataError(
                "HEIC images need a plug-in of Pillow",
                where=path,
                hint="`pip install pillow-heif`, or save it as JPEG",
            ) from None
        what = (
            "not an image of a supported format"
            if isinstance(error, UnidentifiedImageError)
            else f"{error}"
        )
        raise DataError(f"image cannot be decoded ({what})", where=path, hint=_hint(path)) from None


def _hint(path: Path) -> str:
    """Return a hint; it never suggests deleting images that cannot be fetched again."""
    folder = fetched_folder(path)
    if folder is None:
        return "replace the file, or move it out of the folder"
    return f"replace the file, or rename {folder} to have it fetched once more"


def _to_rgb(image: Image.Image, kind: str | None) -> Image.Image:
    if image.mode.startswith("I;16") or (image.mode == "I" and kind == "PPM"):
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
