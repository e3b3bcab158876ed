"""What readers find, and the errors they share."""

from __future__ import annotations

import errno
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from fedmvp.catalog.layouts import Part
from fedmvp.catalog.spec import DEFAULT_DOMAIN, DatasetSpec
from fedmvp.data.formats import SUFFIXES
from fedmvp.data.label_sets import only_label
from fedmvp.data.marker import fetched_folder
from fedmvp.errors import DataError
from fedmvp.files import MAX_DATA_BYTES, read_text

__all__ = [
    "ImageFile",
    "hint",
    "is_image",
    "is_users_folder",
    "listed_image",
    "missing",
    "read_lines",
    "same_name",
]

_OF_SYSTEMS = frozenset(
    {"$RECYCLE.BIN", "@eaDir", "System Volume Information", "__MACOSX", "lost+found"}
)
"""Folders that operating systems and archive programs create."""

_NOT_THERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP})


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image on disk.

    Parameters
    ----------
    path : str
        Relative to the folder where the layout begins, with forward slashes.
    labels : tuple of int
        Indices of the classes it shows in the catalog's order, ascending.
    domain : str
        Name of its domain.
    size_bytes : int
        Length of the file.
    part : {"train", "val", "trainval", "test"}, optional
        Its official part, if the layout has one.
    ignored : tuple of int
        Classes that count neither as shown nor as absent, ascending.
    """

    path: str
    labels: tuple[int, ...]
    domain: str
    size_bytes: int
    part: Part | None = None
    ignored: tuple[int, ...] = ()

    @property
    def label(self) -> int:
        """The only label of an image of a single-label dataset."""
        return only_label(self.labels, self.path)


def is_image(name: str) -> bool:
    """Tell by its name whether a file is an image, and not README.txt or the like."""
    return not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES


def is_users_folder(name: str) -> bool:
    """Tell by its name whether a folder is one that a person made, not a system or a program."""
    return not name.startswith(".") and name not in _OF_SYSTEMS


def same_name(name: str) -> str:
    """Return a form of a name that is the same for all spellings of a class or domain.

    Letters composed or decomposed, their case, and spaces, ``_``, ``-`` and ``/`` differ between
    copies of a dataset and between file systems.

    Examples
    --------
    >>> same_name("Real World") == same_name("real_world") == same_name("RealWorld")
    True
    """
    return re.sub(r"[\s_/-]+", "", unicodedata.normalize("NFC", name).casefold())


def listed_image(
    spec: DatasetSpec,
    base: Path,
    name: str,
    labels: int | tuple[int, ...],
    part: Part | None,
    ignored: tuple[int, ...] = (),
) -> ImageFile:
    """Return an image that a list names by its path in `base`, as the file system spells it.

    Parameters
    ----------
    labels : int or tuple of int
        Its class, or the classes it shows.

    Raises
    ------
    DataError
        When it does not exist.
    """
    for form in (name, unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name)):
        try:
            size = (base / form).stat().st_size
        except ValueError:  # a NUL in it
            continue
        except OSError as error:
            if error.errno in _NOT_THERE:
                continue
            raise
        shown = (labels,) if isinstance(labels, int) else labels
        return ImageFile(form, shown, DEFAULT_DOMAIN, size, part, ignored)
    raise missing(spec, base / name, "image")


def read_lines(spec: DatasetSpec, path: Path) -> list[str]:
    """Return the lines of a list, stripped; empty ones and comments are left out.

    Raises
    ------
    DataError
        When the file is missing or not UTF-8.
    """
    try:
        lines = read_text(path, MAX_DATA_BYTES, "utf-8-sig").splitlines()
    except FileNotFoundError:
        raise missing(spec, path, "list") from None
    except UnicodeDecodeError as error:
        raise DataError(f"not a text file ({error})", where=path, hint=hint(spec, path)) from None
    stripped = (line.strip() for line in lines)
    return [line for line in stripped if line and not line.startswith("#")]


def missing(spec: DatasetSpec, path: Path, what: str) -> DataError:
    """Return the error for a missing file or folder."""
    return DataError(f"{what} is missing", where=path, hint=hint(spec, path))


def hint(spec: DatasetSpec, path: Path) -> str:
    """Return a hint for a folder that is incomplete at `path`.

    No hint suggests deleting images: a fetched folder may be renamed, and a user's own folder has
    to be completed.
    """
    folder = fetched_folder(path)
    if folder is not None and spec.can_be_fetched:
        return f"complete the folder, or rename {folder} to have it fetched once more"
    if spec.sources:
        return "complete the folder: it is a copy of your own, which is never fetched over"
    return "complete the folder, or correct the catalog entry"
