"""Trees of class folders, with or without a level of domains or parts above them.

Folders may be spelt differently from the catalog (`same_name`) if that is unambiguous.
"""

from __future__ import annotations

import difflib
import os
from collections import defaultdict
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath
from typing import Literal

from fedmvp.catalog.layouts import ClassFolders, DomainClassFolders, Part, PartClassFolders
from fedmvp.catalog.spec import DEFAULT_DOMAIN, DatasetSpec
from fedmvp.data.readers.image_files import (
    ImageFile,
    hint,
    is_image,
    is_users_folder,
    missing,
    same_name,
)
from fedmvp.data.readers.left_out import left_out
from fedmvp.errors import DataError

__all__ = [
    "FolderLayout",
    "class_folders",
    "class_parents",
    "classes_in",
    "domain_class_folders",
    "has_classes",
    "part_class_folders",
    "skipped_folders",
]

FolderLayout = ClassFolders | DomainClassFolders | PartClassFolders


def class_folders(spec: DatasetSpec, layout: ClassFolders, base: Path) -> Iterator[ImageFile]:
    """Read ``<class>/<image>``."""
    yield from _read(spec, layout, base, [base], DEFAULT_DOMAIN, layout.part)


def domain_class_folders(
    spec: DatasetSpec, layout: DomainClassFolders, base: Path
) -> Iterator[ImageFile]:
    """Read ``<domain>/<class>/<image>``."""
    for name, places in _domain_places(spec, layout, base).items():
        yield from _read(spec, layout, base, places, name, None)


def part_class_folders(
    spec: DatasetSpec, layout: PartClassFolders, base: Path
) -> Iterator[ImageFile]:
    """Read ``<part>/<class>/<image>``."""
    for part, folder in layout.parts.items():
        yield from _read(spec, layout, base, [base / folder], DEFAULT_DOMAIN, part)


def class_parents(spec: DatasetSpec, layout: FolderLayout, base: Path) -> list[Path]:
    """Return the folders in which class folders belong; they need not exist."""
    if isinstance(layout, PartClassFolders):
        return [base / folder for folder in layout.parts.values()]
    if isinstance(layout, DomainClassFolders):
        return [place for places in _domain_places(spec, layout, base).values() for place in places]
    return [base]


def has_classes(spec: DatasetSpec, layout: FolderLayout, base: Path) -> bool:
    """Tell whether class folders are where the layout expects them."""
    parents = class_parents(spec, layout, base)
    return any(classes_in(spec, layout.class_dirs, parent) for parent in parents)


def classes_in(
    spec: DatasetSpec, named_by: Literal["folder", "label"], folder: Path
) -> dict[str, int]:
    """Return the class folders in a folder, as they are spelt there, with their labels."""
    names = _folder_names(folder)
    if named_by == "label":
        return {str(i): i for i in range(len(spec.classes)) if str(i) in names}
    found = {
        entry.folder: label
        for label, entry in enumerate(spec.classes)
        if entry.folder in names or ("/" in entry.folder and (folder / entry.folder).is_dir())
    }
    tops = {PurePosixPath(name).parts[0] for name in found}
    if spare := [name for name in names if name not in tops]:
        labels, taken = _spellings(spec), set(found.values())
        for name in spare:
            label = labels.get(same_name(name))
            if label is not None and label not in taken:
                found[name] = label
                taken.add(label)
    return found


def skipped_folders(layout: FolderLayout, folder: Path, classes: Collection[str]) -> set[str]:
    """Return the folders that a layout of some classes leaves out on purpose."""
    tops = {PurePosixPath(name).parts[0] for name in classes}
    return set(_folder_names(folder)) - tops if layout.other_folders == "skip" else set()


def _spellings(spec: DatasetSpec) -> dict[str, int]:
    """Return the label of each spelling of a class, without spellings that fit two classes."""
    labels: dict[str, set[int]] = defaultdict(set)
    for label, entry in enumerate(spec.classes):
        below = "/".join(PurePosixPath(entry.folder).parts[1:])  # SUN397's letters
        for form in (entry.name, entry.folder, below):
            labels[same_name(form)].add(label)
    return {form: min(own) for form, own in labels.items() if form and len(own) == 1}


def _domain_places(
    spec: DatasetSpec, layout: DomainClassFolders, base: Path
) -> dict[str, list[Path]]:
    """Return the folders that hold a domain's class folders, by domain."""
    names = _folder_names(base)
    places = {}
    for domain in spec.domains:
        folder = layout.domain_folders.get(domain.name, domain.folder)
        if not (base / folder).is_dir():
            forms = {same_name(folder), same_name(domain.name)}
            folder = next((name for name in names if same_name(name) in forms), folder)
        inner = [base / folder / name for name in layout.within]
        places[domain.name] = [place for place in inner if place.is_dir()] or [base / folder]
    return places


def _folder_names(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return sorted(e.name for e in entries if is_users_folder(e.name) and e.is_dir())


def _read(
    spec: DatasetSpec,
    layout: FolderLayout,
    base: Path,
    parents: list[Path],
    domain: str,
    part: Part | None,
) -> Iterator[ImageFile]:
    """Yield the images of the class folders in some folders; there must be at least one."""
    none = True
    for parent in parents:
        for image in _classes_below(spec, layout, base, parent, domain, part):
            none = False
            yield image
    if none:
        folder = parents[0]
        classes = classes_in(spec, layout.class_dirs, folder)
        reasons = left_out(folder, {folder / name for name in classes})
        raise DataError(
            "no image in class folders",
            where=folder,
            hint=reasons[0] if reasons else hint(spec, folder),
        )


def _classes_below(
    spec: DatasetSpec,
    layout: FolderLayout,
    base: Path,
    folder: Path,
    domain: str,
    part: Part | None,
) -> Iterator[ImageFile]:
    if not folder.is_dir():
        raise missing(spec, folder, "folder")
    classes = classes_in(spec, layout.class_dirs, folder)
    _refuse_strangers(spec, layout, folder, classes)
    for name, label in classes.items():
        prefix = (folder / name).relative_to(base).as_posix()
        with os.scandir(folder / name) as entries:
            for entry in entries:
                if is_image(entry.name) and entry.is_file():
                    size = entry.stat().st_size
                    yield ImageFile(f"{prefix}/{entry.name}", (label,), domain, size, part)


def _refuse_strangers(
    spec: DatasetSpec, layout: FolderLayout, folder: Path, classes: dict[str, int]
) -> None:
    """Refuse a folder that is not a class: it may be a misspelt one, whose images would be lost."""
    if layout.other_folders == "skip":
        return
    tops = {PurePosixPath(name).parts[0] for name in classes}
    for name in _folder_names(folder):
        if name in tops or name in layout.ignore or not _holds_images(folder / name):
            continue
        near = difflib.get_close_matches(name, [c.folder for c in spec.classes], n=1)
        guess = f"is it {near[0]!r}? " if near else ""
        raise DataError(
            "folder is not a class of the dataset",
            where=folder / name,
            hint=f"{guess}rename it, or move it out of {folder.name}"
            if spec.sources
            else f"{guess}list it in the catalog under classes, or in layout.ignore",
        )


def _holds_images(folder: Path) -> bool:
    return any(is_image(path.name) for path in folder.rglob("*"))
