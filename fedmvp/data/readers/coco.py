"""COCO's instances: boxes and masks of objects, of which only the category is read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fedmvp.catalog.layouts import CocoInstances, Part
from fedmvp.catalog.spec import DatasetSpec
from fedmvp.data.readers.image_files import ImageFile, hint, listed_image
from fedmvp.errors import DataError
from fedmvp.files import read_json

__all__ = ["coco_instances"]


def coco_instances(spec: DatasetSpec, layout: CocoInstances, base: Path) -> Iterator[ImageFile]:
    """Read ``annotations/instances_{train2014,val2014}.json``; images are in folders named so.

    An image shows a category if it has an object of it. Images without any object are kept: that a
    class is absent is a label, too. If the entry names unseen classes, training images that show
    one are left out, so that no label is hidden, and so are images that show no class.

    Raises
    ------
    DataError
        When a file is missing or not of this form, a class of the catalog is not a category, or an
        object belongs to an image or category that the file does not list.
    """
    parts: tuple[tuple[Part, str], ...] = (("train", "train2014"), ("test", "val2014"))
    for part, name in parts:
        path = base / "annotations" / f"instances_{name}.json"
        value = read_json(path, hint(spec, path))
        try:
            yield from _images(spec, layout, base, part, name, value)
        except (LookupError, TypeError, AttributeError) as error:
            raise DataError(
                f"not a file of instances ({type(error).__name__}: {error})",
                where=path,
                hint=hint(spec, path),
            ) from None


def _images(
    spec: DatasetSpec, layout: CocoInstances, base: Path, part: Part, name: str, value: Any
) -> Iterator[ImageFile]:
    path = base / "annotations" / f"instances_{name}.json"
    label_of = _labels(spec, layout, path, value["categories"])
    shown: dict[int, set[int]] = {image["id"]: set() for image in value["images"]}
    for row in value["annotations"]:
        image, category = row["image_id"], row["category_id"]
        if image not in shown or category not in label_of:
            what = "image" if image not in shown else "category"
            raise DataError(
                f"an object is of {what} that the file does not list",
                where=path,
                value=image if what == "image" else category,
                hint=hint(spec, path),
            )
        label = label_of[category]
        if label is not None and not (row.get("iscrowd") and layout.crowd == "absent"):
            shown[image].add(label)
    unseen = {label for label, text in enumerate(spec.class_names) if text in spec.unseen}
    for image in value["images"]:
        labels = tuple(sorted(shown[image["id"]]))
        left_out = unseen and (not labels or (part == "train" and unseen & set(labels)))
        if not left_out:
            yield listed_image(spec, base, f"{name}/{image['file_name']}", labels, part)


def _labels(
    spec: DatasetSpec, layout: CocoInstances, path: Path, categories: Any
) -> dict[int, int | None]:
    """Return the label of each category's number; None where the entry leaves the category out."""
    label_of_name = {entry.folder: label for label, entry in enumerate(spec.classes)}
    names = {row["id"]: row["name"] for row in categories}
    if absent := sorted(label_of_name.keys() - set(names.values())):
        raise DataError(
            "a class is not among the categories",
            where=path,
            value=absent[0],
            hint=hint(spec, path),
        )
    strays = sorted(set(names.values()) - label_of_name.keys())
    if strays and layout.other_categories == "refuse":
        raise DataError(
            "a category is not a class of the catalog",
            where=path,
            value=strays[0],
            hint="write other_categories: skip into the entry's layout to leave it out",
        )
    return {number: label_of_name.get(name) for number, name in names.items()}
