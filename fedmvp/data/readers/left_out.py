"""What is left out of a tree of images: a line per reason."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from pathlib import Path

from fedmvp.data.formats import is_unread_image, needs_plugin
from fedmvp.data.readers.image_files import is_image, is_users_folder

__all__ = ["left_out"]

_DEPTH = 8  # links may lead in circles


def left_out(top: Path, classes: Collection[Path], ignore: Collection[str] = ()) -> list[str]:
    """Return what in a folder is not an image of a class, or cannot be read here.

    Parameters
    ----------
    top : Path
        A folder that contains class folders, at any depth.
    classes : collection of Path
        The class folders, each inside `top`.
    ignore : collection of str
        Folders in `top` that are left out on purpose.
    """
    above = {parent for folder in classes for parent in folder.parents} | {top}
    loose: dict[Path, int] = {}
    deep: dict[Path, list[Path]] = defaultdict(list)
    other: dict[Path, int] = {}
    unread: Counter[str] = Counter()
    unaided = 0
    for folder, names in _folders(top, _DEPTH):
        if folder != top and folder.relative_to(top).parts[0] in ignore:
            continue
        images = sorted(name for name in names if is_image(name))
        unread.update(Path(name).suffix.lower() for name in names if is_unread_image(name))
        if folder in classes:
            unaided += sum(map(needs_plugin, images))
        elif owner := next((place for place in folder.parents if place in classes), None):
            deep[owner] += [folder / name for name in images]
        elif images:
            (loose if folder in above else other)[folder] = len(images)
    lines = [
        f"{_images(count)} directly in {folder.name}; sort them into class folders"
        for folder, count in loose.items()
    ]
    for owner, paths in deep.items():
        if paths:
            lines.append(
                f"{_images(len(paths))} deeper than the class folder {owner.name!r}, e.g. "
                f"{paths[0].relative_to(owner)}; move them up into it"
            )
    lines += [
        f"{_images(count)} in {folder.relative_to(top)}, which is not a class folder"
        for folder, count in other.items()
    ]
    if unread:
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in sorted(unread.items()))
        lines.append(f"formats that are not read: {kinds}; save them as JPEG or PNG")
    if unaided:
        lines.append(f"{unaided} HEIC image(s) need the plug-in: `pip install pillow-heif`")
    return lines


def _images(count: int) -> str:
    return "1 image lies" if count == 1 else f"{count:,} images lie"


def _folders(folder: Path, depth: int) -> Iterator[tuple[Path, list[str]]]:
    """Yield a folder and its subfolders made by people, each with the names of its files."""
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    yield folder, [entry.name for entry in entries if not entry.is_dir()]
    if depth:
        for entry in entries:
            if entry.is_dir() and is_users_folder(entry.name):
                yield from _folders(folder / entry.name, depth - 1)
