"""What a user's own image folder holds: classes, and domains or official parts above them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fedmvp.data.readers.image_files import is_image
from fedmvp.errors import DataError

__all__ = ["ImageTree", "survey"]

# How people name the parts of a split; a tree of nothing else has no domains.
_PARTS = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
_TREES = "put images into DIR/<class>/, DIR/<domain>/<class>/ or DIR/{train,test}/<class>/"


@dataclass(frozen=True)
class ImageTree:
    """A tree of class folders.

    Attributes
    ----------
    kind : {"classes", "domains", "parts"}
        What the folders at the top are.
    classes : tuple of str
        Class folders, sorted; a class need not be in every domain.
    tops : dict of str to str
        Folder to domain or to part of the split; empty where classes stand at the top.
    images : dict of str to int
        Images of each class, over all domains.
    """

    kind: Literal["classes", "domains", "parts"]
    classes: tuple[str, ...]
    tops: dict[str, str]
    images: dict[str, int]


def survey(folder: Path) -> ImageTree:
    """Find out which kind of tree a folder is.

    Raises
    ------
    DataError
        When it is none, two classes are missing, or it is a mixture; the message names a folder.
    """
    if not folder.is_dir():
        raise DataError("folder is missing", where=folder, hint="check --images")
    tops = list(_folders(folder))
    own = {top.name: _count(top) for top in tops}
    below = {top.name: {inner.name: _count(inner) for inner in _folders(top)} for top in tops}
    deep = [name for name, inner in below.items() if any(inner.values())]
    flat = [name for name, count in own.items() if count]
    if deep and flat:
        raise DataError(
            f"{flat[0]!r} holds images and {deep[0]!r} folders of images",
            where=folder, hint=_TREES,
        )  # fmt: skip
    images: dict[str, int] = {}
    for inner in (below[name] for name in deep) if deep else [{name: own[name] for name in flat}]:
        for name, count in inner.items():
            if count:
                images[name] = images.get(name, 0) + count
    if len(images) < 2:
        raise DataError("fewer than two classes", where=folder, value=sorted(images), hint=_TREES)
    classes = tuple(sorted(images))
    parts = {name: _PARTS[name.lower()] for name in deep if name.lower() in _PARTS}
    if not deep:
        return ImageTree("classes", classes, {}, images)
    if not parts:
        return ImageTree("domains", classes, {name: name for name in sorted(deep)}, images)
    if len(parts) < len(deep):
        stray = next(name for name in deep if name not in parts)
        raise DataError("folder is not a part of a split beside others that are", where=folder,
                        value=stray, hint=_TREES)  # fmt: skip
    return ImageTree("parts", classes, _with_test(folder, parts), images)


def _with_test(folder: Path, parts: dict[str, str]) -> dict[str, str]:
    """Return the parts; where there is no test part, val is what is tested on."""
    if "test" not in parts.values():
        parts = {name: "test" if part == "val" else part for name, part in parts.items()}
    if len(set(parts.values())) < len(parts) or not {"train", "test"} <= set(parts.values()):
        raise DataError("parts of the split are not one train and one test folder", where=folder,
                        value=sorted(parts), hint=_TREES)  # fmt: skip
    return parts


def _folders(folder: Path) -> Iterator[Path]:
    return (p for p in sorted(folder.iterdir()) if p.is_dir() and not p.name.startswith("."))


def _count(folder: Path) -> int:
    return sum(1 for path in folder.iterdir() if is_image(path.name) and path.is_file())
