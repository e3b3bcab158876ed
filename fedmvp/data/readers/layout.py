"""Find which of a dataset's layouts is on disk, and list its images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedmvp.catalog.layouts import Layout
from fedmvp.data.readers import folders, lists, matlab
from fedmvp.data.readers.image_files import ImageFile, hint
from fedmvp.catalog.spec import DatasetSpec
from fedmvp.errors import DataError

__all__ = ["ResolvedLayout", "locate", "read_layout"]


@dataclass(frozen=True)
class ResolvedLayout:
    """A layout that is on disk.

    Parameters
    ----------
    base : Path
        The folder it begins at; paths of images are relative to it, so that they are the same
        whatever top folders an archive has.
    """

    layout: Layout
    base: Path


def locate(spec: DatasetSpec, root: Path) -> ResolvedLayout:
    """Return the first of the catalog's layouts that is below `root`.

    Raises
    ------
    DataError
        When none is.
    """
    candidates = [
        ResolvedLayout(layout, root / folder) for layout in spec.layout for folder in layout.folder
    ]
    if len(candidates) == 1:  # its reader tells what is missing
        return candidates[0]
    for candidate in candidates:
        if _READERS[candidate.layout.reader].probe(spec, candidate.layout, candidate.base):
            return candidate
    looked = ", ".join(dict.fromkeys(c.base.relative_to(root).as_posix() for c in candidates))
    raise DataError(
        f"no layout of the catalog is here (looked in {looked})", where=root, hint=hint(spec)
    )


def read_layout(spec: DatasetSpec, located: ResolvedLayout) -> list[ImageFile]:
    """List a dataset's images in the order of their paths.

    Raises
    ------
    DataError
        When a folder, list or listed image is missing, a folder is not a class, or a class has no
        image at all.
    """
    reader = _READERS[located.layout.reader]
    images = reader.read(spec, located.layout, located.base)
    found = sorted(images, key=lambda image: image.path)
    empty = set(range(len(spec.classes))) - {image.label for image in found}
    if empty:
        absent = spec.classes[min(empty)]
        raise DataError(
            f"class {absent.name!r} has no image",
            where=located.base,
            value=absent.folder,
            hint=hint(spec),
        )
    return found


@dataclass(frozen=True)
class _Reader:
    read: Callable[[DatasetSpec, Any, Path], Iterator[ImageFile]]
    probe: Callable[[DatasetSpec, Any, Path], bool]


def _has(name: str) -> Callable[[DatasetSpec, Any, Path], bool]:
    return lambda spec, layout, base: (base / name).is_dir()


_READERS: dict[str, _Reader] = {
    "class_folders": _Reader(folders.class_folders, folders.has_classes),
    "domain_class_folders": _Reader(folders.domain_class_folders, folders.has_domains),
    "part_class_folders": _Reader(folders.part_class_folders, folders.has_parts),
    "pets_lists": _Reader(lists.pets_lists, _has("images")),
    "aircraft_lists": _Reader(lists.aircraft_lists, _has("images")),
    "ucf101_lists": _Reader(lists.ucf101_lists, _has("UCF-101-midframes")),
    "sun397_lists": _Reader(lists.sun397_lists, _has("SUN397")),
    "flowers_mat": _Reader(matlab.flowers_mat, _has("jpg")),
    "cars_mat": _Reader(matlab.cars_mat, _has("cars_train")),
}
