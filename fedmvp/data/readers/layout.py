"""Find which of a dataset's layouts is on disk, and list its images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedmvp.catalog.layouts import ClassFolders, DomainClassFolders, Layout, PartClassFolders
from fedmvp.catalog.spec import DatasetSpec
from fedmvp.data.readers import coco, folders, label_tables, lists, matlab, nus_wide, scenes, voc
from fedmvp.data.readers.folders import class_parents, classes_in, has_classes, skipped_folders
from fedmvp.data.readers.image_files import ImageFile, hint
from fedmvp.data.readers.left_out import left_out
from fedmvp.errors import DataError

__all__ = ["ResolvedLayout", "locate", "other_files", "read_layout"]


@dataclass(frozen=True)
class ResolvedLayout:
    """A layout that is on disk.

    Parameters
    ----------
    base : Path
        The folder where it begins; paths of images are relative to it, so that they do not depend
        on an archive's top folders.
    """

    layout: Layout
    base: Path


def locate(spec: DatasetSpec, root: Path) -> ResolvedLayout:
    """Return the first of the catalog's layouts that is found in `root`.

    Raises
    ------
    DataError
        When none is found.
    """
    candidates = [
        ResolvedLayout(layout, root / folder) for layout in spec.layout for folder in layout.folder
    ]
    if len(candidates) == 1:  # its reader tells what is missing
        return candidates[0]
    for candidate in candidates:
        if _READERS[candidate.layout.reader].probe(spec, candidate.layout, candidate.base):
            return candidate
    forms = dict.fromkeys(_form(spec, candidate, root) for candidate in candidates)
    raise DataError(
        "no layout of the catalog is here",
        where=root,
        value=sorted(path.name for path in root.iterdir())[:9],
        hint=f"{_nearest(spec, root)}; looked for {', '.join(forms)}",
    )


def _form(spec: DatasetSpec, candidate: ResolvedLayout, root: Path) -> str:
    """Return an example of a layout: folders from the dataset's down to a class."""
    layout, entry = candidate.layout, spec.classes[0]
    if isinstance(layout, ClassFolders | DomainClassFolders | PartClassFolders):
        parent = class_parents(spec, layout, candidate.base)[0]
        shown = parent / ("0" if layout.class_dirs == "label" else entry.folder)
    else:
        shown = candidate.base / _READERS[layout.reader].sign
    return f"{shown.relative_to(root).as_posix()}/"


def _nearest(spec: DatasetSpec, root: Path) -> str:
    """Describe where most class folders are, at most three levels down."""
    best, most = root, 0
    for folder in (root, *root.glob("*"), *root.glob("*/*")):
        count = len(classes_in(spec, "folder", folder))
        if count > most:
            best, most = folder, count
    if not most:
        return f"none of its class folders lies in {root.name}, {root.name}/* or {root.name}/*/*"
    place = best.relative_to(root.parent).as_posix()
    return f"{place} holds {most} of its {len(spec.classes)} class folders: move them"


def other_files(spec: DatasetSpec, located: ResolvedLayout) -> list[str]:
    """Return what is left out among the images of class folders, a line per reason."""
    layout, lines = located.layout, []
    if isinstance(layout, ClassFolders | DomainClassFolders | PartClassFolders):
        for folder in class_parents(spec, layout, located.base):
            names = classes_in(spec, layout.class_dirs, folder)
            ignored = {*layout.ignore, *skipped_folders(layout, folder, names)}
            lines += left_out(folder, {folder / name for name in names}, ignored)
    return lines


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
    shown = {label for image in found for label in image.labels}
    empty = set(range(len(spec.classes))) - shown
    if empty:
        absent, reasons = spec.classes[min(empty)], other_files(spec, located)
        raise DataError(
            f"class {absent.name!r} has no image",
            where=located.base,
            value=absent.folder,
            hint=reasons[0] if reasons else hint(spec, located.base),
        )
    return found


@dataclass(frozen=True)
class _Reader:
    read: Callable[[DatasetSpec, Any, Path], Iterator[ImageFile]]
    sign: str = ""  # a folder by which the layout is recognised; else by its class folders

    def probe(self, spec: DatasetSpec, layout: Any, base: Path) -> bool:
        """Tell whether the layout begins at `base`."""
        return (base / self.sign).is_dir() if self.sign else has_classes(spec, layout, base)


_READERS: dict[str, _Reader] = {
    "class_folders": _Reader(folders.class_folders),
    "domain_class_folders": _Reader(folders.domain_class_folders),
    "part_class_folders": _Reader(folders.part_class_folders),
    "pets_lists": _Reader(lists.pets_lists, "images"),
    "aircraft_lists": _Reader(lists.aircraft_lists, "images"),
    "ucf101_lists": _Reader(lists.ucf101_lists, "UCF-101-midframes"),
    "sun397_lists": _Reader(lists.sun397_lists, "SUN397"),
    "flowers_mat": _Reader(matlab.flowers_mat, "jpg"),
    "cars_mat": _Reader(matlab.cars_mat, "cars_train"),
    "scene_recipes": _Reader(scenes.scene_recipes, "drawings"),
    "voc_lists": _Reader(voc.voc_lists, "ImageSets"),
    "voc_trees": _Reader(voc.voc_trees, voc.TRAIN_TREE),
    "coco_instances": _Reader(coco.coco_instances, "annotations"),
    "nus_wide_lists": _Reader(nus_wide.nus_wide_lists, "ImageList"),
    "nus_wide_table": _Reader(nus_wide.nus_wide_table, "images"),
    "multiscene_tables": _Reader(label_tables.multiscene_tables, "images"),
    "mlrsnet_tables": _Reader(label_tables.mlrsnet_tables, "Images"),
}
