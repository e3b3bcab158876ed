"""Trees of class folders, with or without a level of domains or parts above them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from fedmvp.catalog.layouts import ClassFolders, DomainClassFolders, Part, PartClassFolders
from fedmvp.data.readers.image_files import ImageFile, is_image, hint, missing
from fedmvp.catalog.spec import DEFAULT_DOMAIN, DatasetSpec
from fedmvp.errors import DataError

__all__ = [
    "class_folders",
    "domain_class_folders",
    "has_classes",
    "has_domains",
    "has_parts",
    "part_class_folders",
]


def class_folders(spec: DatasetSpec, layout: ClassFolders, base: Path) -> Iterator[ImageFile]:
    """Read ``<class>/<image>``."""
    yield from _classes_below(spec, layout, base, base, DEFAULT_DOMAIN, layout.part)


def domain_class_folders(
    spec: DatasetSpec, layout: DomainClassFolders, base: Path
) -> Iterator[ImageFile]:
    """Read ``<domain>/<class>/<image>``."""
    for name, folder in _domain_folders(spec, layout).items():
        yield from _classes_below(spec, layout, base, base / folder, name, None)


def part_class_folders(spec: DatasetSpec, layout: PartClassFolders, base: Path) -> Iterator[ImageFile]:
    """Read ``<part>/<class>/<image>``."""
    for part, folder in layout.parts.items():
        yield from _classes_below(spec, layout, base, base / folder, DEFAULT_DOMAIN, part)


def has_classes(spec: DatasetSpec, layout: ClassFolders, base: Path) -> bool:
    """Tell whether class folders lie in `base`."""
    return any((base / name).is_dir() for name in _class_dirs(spec, layout))


def has_domains(spec: DatasetSpec, layout: DomainClassFolders, base: Path) -> bool:
    """Tell whether a domain's folder with class folders lies in `base`."""
    classes = _class_dirs(spec, layout)
    return any(
        (base / folder / name).is_dir()
        for folder in _domain_folders(spec, layout).values()
        if (base / folder).is_dir()
        for name in classes
    )


def has_parts(spec: DatasetSpec, layout: PartClassFolders, base: Path) -> bool:
    """Tell whether a part's folder with class folders lies in `base`."""
    classes = _class_dirs(spec, layout)
    return any(
        (base / folder / name).is_dir()
        for folder in layout.parts.values()
        if (base / folder).is_dir()
        for name in classes
    )


_FolderLayout = ClassFolders | DomainClassFolders | PartClassFolders


def _domain_folders(spec: DatasetSpec, layout: DomainClassFolders) -> dict[str, str]:
    return {d.name: layout.domain_folders.get(d.name, d.folder) for d in spec.domains}


def _class_dirs(spec: DatasetSpec, layout: _FolderLayout) -> dict[str, int]:
    """Return class folder to label, both in label order."""
    by_label = layout.class_dirs == "label"
    return {str(i) if by_label else c.folder: i for i, c in enumerate(spec.classes)}


def _classes_below(
    spec: DatasetSpec,
    layout: _FolderLayout,
    base: Path,
    folder: Path,
    domain: str,
    part: Part | None,
) -> Iterator[ImageFile]:
    if not folder.is_dir():
        raise missing(spec, folder, "folder")
    labels = _class_dirs(spec, layout)
    _refuse_strangers(spec, layout, folder, labels)
    for name, label in labels.items():
        # A domain need not show every class.
        if not (folder / name).is_dir():
            continue
        prefix = (folder / name).relative_to(base).as_posix()
        with os.scandir(folder / name) as entries:
            for entry in entries:
                if is_image(entry.name) and entry.is_file():
                    size = entry.stat().st_size
                    yield ImageFile(f"{prefix}/{entry.name}", label, domain, size, part)


def _refuse_strangers(
    spec: DatasetSpec, layout: _FolderLayout, folder: Path, labels: dict[str, int]
) -> None:
    """Refuse a folder that is not a class: it may be one misspelt, whose images would be lost."""
    if layout.other_folders == "skip":
        return
    tops = {PurePosixPath(name).parts[0] for name in labels}
    for below in sorted(folder.iterdir()):
        known = below.name in tops or below.name in layout.ignore or below.name.startswith(".")
        if not known and below.is_dir():
            raise DataError(
                "folder is not a class of the dataset",
                where=below,
                hint="list it in the catalog under classes, or in layout.ignore"
                if not spec.sources
                else hint(spec),
            )
