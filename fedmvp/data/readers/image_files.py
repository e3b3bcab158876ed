"""What readers find, and the complaints they share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fedmvp.catalog.layouts import Part
from fedmvp.catalog.spec import DatasetSpec
from fedmvp.errors import DataError
from fedmvp.files import MAX_DATA_BYTES, read_text

__all__ = ["ImageFile", "image_size", "is_image", "hint", "missing", "read_lines"]

_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image on disk.

    Parameters
    ----------
    path : str
        Relative to the folder the layout begins at, with forward slashes.
    label : int
        Index of its class in the catalog's order.
    domain : str
        Name of its domain.
    size_bytes : int
        Length of the file.
    part : {"train", "val", "trainval", "test"}, optional
        Its official part, where the layout tells one.
    """

    path: str
    label: int
    domain: str
    size_bytes: int
    part: Part | None = None


def is_image(name: str) -> bool:
    """Tell by its name whether a file is an image; README.txt and the like lie among them."""
    return not name.startswith(".") and Path(name).suffix.lower() in _SUFFIXES


def image_size(spec: DatasetSpec, path: Path) -> int:
    """Return the length of a listed file.

    Raises
    ------
    DataError
        When it is not there.
    """
    try:
        return path.stat().st_size
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a NUL in its name
        raise missing(spec, path, "image") from None


def read_lines(spec: DatasetSpec, path: Path) -> list[str]:
    """Return the lines of a list, stripped; empty ones and comments are left out.

    Raises
    ------
    DataError
        When the file is missing or not UTF-8.
    """
    try:
        lines = read_text(path, MAX_DATA_BYTES).splitlines()
    except FileNotFoundError:
        raise missing(spec, path, "list") from None
    except UnicodeDecodeError as error:
        raise DataError(f"not a text file ({error})", where=path, hint=hint(spec)) from None
    stripped = (line.strip() for line in lines)
    return [line for line in stripped if line and not line.startswith("#")]


def missing(spec: DatasetSpec, path: Path, what: str) -> DataError:
    """Return the complaint that a file or folder is not there."""
    return DataError(f"{what} is missing", where=path, hint=hint(spec))


def hint(spec: DatasetSpec) -> str:
    """Return what the user can do about an incomplete folder."""
    if spec.sources:
        return "complete the folder, or remove the dataset's folder to fetch it again"
    return "complete the folder, or correct the catalog entry"
