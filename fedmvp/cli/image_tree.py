"""The structure of a user's own image folder: classes, and domains or parts above them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fedmvp.attributes.schema import spoken_name
from fedmvp.data.readers.image_files import is_image, is_users_folder
from fedmvp.data.readers.left_out import left_out
from fedmvp.errors import DataError

__all__ = ["ImageTree", "survey"]

# Usual names of the parts of a split; a tree with only these at the top has no domains.
_PARTS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
_TREES = "put images into DIR/<class>/, DIR/<domain>/<class>/ or DIR/{train,test}/<class>/"


@dataclass(frozen=True)
class ImageTree:
    """A tree of class folders.

    Attributes
    ----------
    kind : {"classes", "domains", "parts"}
        Kind of the folders at the top.
    classes : dict of str to str
        Class to the name of its folder, sorted; these differ where the file system decomposes
        letters. A class need not be in every domain.
    tops : dict of str to str
        Folder to domain or part of the split; empty if classes are at the top.
    files : dict of str to list of Path
        Images of each class, over all domains.
    left_out : list of str
        What is left out, a line per reason.
    """

    kind: Literal["classes", "domains", "parts"]
    classes: dict[str, str]
    tops: dict[str, str]
    files: dict[str, list[Path]]
    left_out: list[str]

    @property
    def images(self) -> int:
        """Number of images."""
        return sum(map(len, self.files.values()))


def survey(folder: Path) -> ImageTree:
    """Find out which kind of tree a folder is.

    Raises
    ------
    DataError
        When it is no such tree, has fewer than two classes, mixes two kinds, or two classes have
        the same name for a model; the message names a folder.
    """
    if not folder.is_dir():
        raise DataError("folder is missing", where=folder, hint="check --images")
    tops = _folders(folder)
    flat = [top for top in tops if _images(top)]
    deep = [top for top in tops if any(map(_images, _folders(top)))]
    # A few images at a wrong level do not change the kind of a tree; they are left out.
    if set(deep) < set(flat):
        deep = []
    elif flat and not set(flat) < set(deep):
        raise DataError(
            f"{flat[0].name!r} holds images, but {deep[0].name!r} holds folders of images",
            where=folder,
            hint=_TREES,
        )
    parents = deep or [folder]
    places = [place for parent in parents for place in _folders(parent)]
    left = left_out(folder, {place for place in places if _images(place)})
    files: dict[str, list[Path]] = {}
    folders: dict[str, str] = {}
    for place in places:
        name = unicodedata.normalize("NFC", place.name)
        if images := _images(place):
            files.setdefault(name, []).extend(images)
            folders.setdefault(name, place.name)
    if len(files) < 2:
        raise DataError(
            "fewer than two classes",
            where=folder,
            value=sorted(files),
            hint="; ".join([*_guess(folder), *left, _TREES]),
        )
    _require_different(folder, places)
    for name in sorted({place.name for place in places} - {*folders.values()} - {*files}):
        left.append(f"folder {name!r} contains no image, so it is not a class")
    files = {name: files[name] for name in sorted(files)}
    classes = {name: folders[name] for name in files}
    parts = {top.name: _PARTS[top.name.lower()] for top in deep if top.name.lower() in _PARTS}
    if not deep:
        return ImageTree("classes", classes, {}, files, left)
    if not parts:
        return ImageTree("domains", classes, {top.name: top.name for top in deep}, files, left)
    if len(parts) < len(deep):
        stray = next(top.name for top in deep if top.name not in parts)
        raise DataError(
            "folder is not a part of a split, but others beside it are",
            where=folder,
            value=stray,
            hint=_TREES,
        )
    return ImageTree("parts", classes, _with_test(folder, parts), files, left)


def _require_different(folder: Path, places: Sequence[Path]) -> None:
    """Refuse classes whose names are the same for a model, which could not tell them apart."""
    seen: dict[str, Path] = {}
    for place in places:
        if not _images(place):
            continue
        other = seen.setdefault(spoken_name(place.name).casefold(), place)
        composed = {unicodedata.normalize("NFC", path.name) for path in (other, place)}
        if len(composed) > 1 or (other != place and other.parent == place.parent):
            raise DataError(
                f"{other.name!r} and {place.name!r} are the same name to a model",
                where=folder,
                hint="merge the two folders if they are one class; otherwise rename one",
            )


def _guess(folder: Path) -> Iterator[str]:
    """Suggest the folder further down that contains class folders, if there is one."""
    for place in (path for depth in ("*", "*/*", "*/*/*") for path in sorted(folder.glob(depth))):
        if place.is_dir() and sum(map(bool, map(_images, _folders(place)))) > 1:
            yield f"did you mean --images {place}?"
            return


def _with_test(folder: Path, parts: dict[str, str]) -> dict[str, str]:
    """Return the parts; if there is no test part, val is used for testing."""
    if "test" not in parts.values():
        parts = {name: "test" if part == "val" else part for name, part in parts.items()}
    if len(set(parts.values())) < len(parts) or not {"train", "test"} <= set(parts.values()):
        raise DataError(
            "parts of the split are not one train and one test folder",
            where=folder,
            value=sorted(parts),
            hint=_TREES,
        )
    return parts


def _folders(folder: Path) -> list[Path]:
    return [p for p in sorted(folder.iterdir()) if p.is_dir() and is_users_folder(p.name)]


def _images(folder: Path) -> list[Path]:
    return [p for p in sorted(folder.iterdir()) if is_image(p.name) and p.is_file()]
