"""On-disk layouts: each reader lists the images of one kind of tree.

A new layout is one model in `fedmvp.data.spec` and one function here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fedmvp.data.spec import DEFAULT_DOMAIN, DatasetSpec
from fedmvp.errors import DataError

__all__ = ["Found", "read_layout"]

_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


@dataclass(frozen=True, slots=True)
class Found:
    """An image on disk.

    Parameters
    ----------
    path : str
        Relative to the raw folder, with forward slashes.
    label : int
        Index of its class in the catalog's order.
    domain : str
        Name of its domain.
    size_bytes : int
        Length of the file.
    """

    path: str
    label: int
    domain: str
    size_bytes: int


def read_layout(spec: DatasetSpec, root: Path) -> list[Found]:
    """List a dataset's images in the order of their paths.

    Raises
    ------
    DataError
        When a folder is missing or is no class, or a class has no image at all.
    """
    found = sorted(_READERS[spec.layout.reader](spec, root), key=lambda image: image.path)
    empty = set(range(len(spec.classes))) - {image.label for image in found}
    if empty:
        missing = spec.classes[min(empty)]
        raise DataError(
            f"class {missing.name!r} has no image",
            where=root / spec.layout.folder,
            value=missing.folder,
            mend=_mend(spec),
        )
    return found


def _class_folders(spec: DatasetSpec, root: Path) -> Iterator[Found]:
    yield from _classes_below(spec, root, root / spec.layout.folder, DEFAULT_DOMAIN)


def _domain_class_folders(spec: DatasetSpec, root: Path) -> Iterator[Found]:
    for domain in spec.domains:
        folder = root / spec.layout.folder / domain.folder
        yield from _classes_below(spec, root, folder, domain.name)


def _classes_below(spec: DatasetSpec, root: Path, folder: Path, domain: str) -> Iterator[Found]:
    if not folder.is_dir():
        raise DataError("folder is missing", where=folder, mend=_mend(spec))
    labels = {entry.folder: label for label, entry in enumerate(spec.classes)}
    for below in sorted(folder.iterdir()):
        if not below.is_dir() or below.name.startswith(".") or below.name in spec.layout.ignore:
            continue
        if below.name not in labels:
            raise DataError(
                "folder is no class of the dataset",
                where=below,
                mend="list it in the catalog under classes, or in layout.ignore",
            )
        for path in below.iterdir():
            if path.suffix.lower() in _SUFFIXES and not path.name.startswith("."):
                yield Found(
                    path.relative_to(root).as_posix(),
                    labels[below.name],
                    domain,
                    path.stat().st_size,
                )


def _mend(spec: DatasetSpec) -> str:
    if spec.sources:
        return "complete the folder, or remove the dataset's folder to fetch it again"
    return "complete the folder, or correct the catalog entry"


_READERS: dict[str, Callable[[DatasetSpec, Path], Iterator[Found]]] = {
    "class_folders": _class_folders,
    "domain_class_folders": _domain_class_folders,
}
