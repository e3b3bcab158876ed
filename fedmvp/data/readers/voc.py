"""PASCAL VOC's lists: one of all images, and one for each class with a flag per image."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fedmvp.catalog.layouts import Part, VocLists, VocTrees
from fedmvp.catalog.spec import DatasetSpec
from fedmvp.data.readers.image_files import ImageFile, hint, listed_image, read_lines
from fedmvp.errors import DataError

__all__ = ["TEST_TREE", "TRAIN_TREE", "voc_lists", "voc_trees"]

TRAIN_TREE, TEST_TREE = "VOCtrainval2007", "VOCtest2007"
_FLAGS = {"1": 1, "0": 0, "-1": -1}


def voc_lists(spec: DatasetSpec, layout: VocLists, base: Path) -> Iterator[ImageFile]:
    """Read ``ImageSets/Main/{trainval,test}.txt``, ``<class>_{trainval,test}.txt``, or `train`'s.

    A line of a class is ``000007 -1``: 1 where the image shows it, -1 where not, 0 where all its
    objects of the class are marked as difficult.

    Raises
    ------
    DataError
        When a list is missing, a class's list does not have the part's images, or a flag is none
        of these three.
    """
    yield from _part(spec, layout, base, "", layout.train_list)
    yield from _part(spec, layout, base, "", "test")


def voc_trees(spec: DatasetSpec, layout: VocTrees, base: Path) -> Iterator[ImageFile]:
    """Read the same where each archive was unpacked into a folder of its own."""
    inner = "VOCdevkit/VOC2007/"
    yield from _part(spec, layout, base, f"{TRAIN_TREE}/{inner}", layout.train_list)
    yield from _part(spec, layout, base, f"{TEST_TREE}/{inner}", "test")


def _part(
    spec: DatasetSpec, layout: VocLists | VocTrees, base: Path, tree: str, part: Part
) -> Iterator[ImageFile]:
    lists = base / f"{tree}ImageSets/Main"
    names = read_lines(spec, lists / f"{part}.txt")
    shown: dict[str, list[int]] = {name: [] for name in names}
    difficult: dict[str, list[int]] = {name: [] for name in names}
    for label, entry in enumerate(spec.classes):
        path = lists / f"{entry.folder}_{part}.txt"
        rows = [line.split() for line in read_lines(spec, path)]
        if [row[0] for row in rows] != names:
            raise DataError(
                f"list of a class does not have the images of {part}.txt in the same order",
                where=path,
                value=f"{len(rows)} lines, {len(names)} images",
                hint=hint(spec, path),
            )
        for row in rows:
            flag = _FLAGS.get(row[-1]) if len(row) == 2 else None
            if flag is None:
                raise DataError(
                    "flag is not 1, -1 or 0", where=path, value=" ".join(row), hint=hint(spec, path)
                )
            if flag == 1 or (flag == 0 and layout.difficult == "positive"):
                shown[row[0]].append(label)
            elif flag == 0 and layout.difficult == "ignore":
                difficult[row[0]].append(label)
    for name in names:
        file, ignored = f"{tree}JPEGImages/{name}.jpg", tuple(difficult[name])
        yield listed_image(spec, base, file, tuple(shown[name]), part, ignored)
