"""Datasets of many labels as their archives lay them out; image i shows classes i and i + 1.

Among them are the cases readers have to tell apart: difficult objects, images without any label,
crowds, columns in another order, rows with more labels than an image can have.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from fedmvp.catalog.spec import DatasetSpec
from tests.miniatures.writing import Folder

__all__ = ["CATEGORIES", "MULTI", "labels_of"]

CATEGORIES = ("airplane", "desert", "harbor&port", "parkway")
"""Categories of MLRSNet in the miniature; the third has no label of its own name."""


def labels_of(spec: DatasetSpec, number: int) -> set[int]:
    """Return the labels of image `number`; the one after the last shows nothing."""
    count = len(spec.classes)
    return set() if number >= count else {number, (number + 1) % count}


def _voc_part(spec: DatasetSpec, folder: Folder, tree: str, part: str, first: int) -> None:
    """Write a part whose image 0 has a difficult object of class 2 and whose last shows class 0."""
    names = [f"{first + number:06d}" for number in range(len(spec.classes))]
    for number, name in enumerate(names):
        folder.image(f"{tree}JPEGImages/{name}.jpg", number)
    folder.lines(f"{tree}ImageSets/Main/{part}.txt", names)
    for label, entry in enumerate(spec.classes):
        flags = [1 if label in labels_of(spec, number) else -1 for number in range(len(names))]
        if label == 2:
            flags[0] = 0
        rows = [f"{name} {flag:2d}" for name, flag in zip(names, flags, strict=True)]
        folder.lines(f"{tree}ImageSets/Main/{entry.folder}_{part}.txt", rows)


def _voc2007(spec: DatasetSpec, folder: Folder) -> None:
    """Both archives in one tree, as torchvision unpacks them."""
    _voc_part(spec, folder, "VOCdevkit/VOC2007/", "trainval", 1)
    _voc_part(spec, folder, "VOCdevkit/VOC2007/", "test", 501)


def _voc2007_fedmpt(spec: DatasetSpec, folder: Folder) -> None:
    """The list train in the place of trainval."""
    _voc_part(spec, folder, "VOCdevkit/VOC2007/", "train", 1)
    _voc_part(spec, folder, "VOCdevkit/VOC2007/", "test", 501)


def voc_trees(spec: DatasetSpec, folder: Folder) -> None:
    """Each archive in a tree of its own, as FedMPT wants them."""
    _voc_part(spec, folder, "VOCtrainval2007/VOCdevkit/VOC2007/", "trainval", 1)
    _voc_part(spec, folder, "VOCtest2007/VOCdevkit/VOC2007/", "test", 501)


def coco(spec: DatasetSpec, folder: Folder, others: Sequence[str] = ()) -> None:
    """Category numbers have gaps; the last image shows nothing, and image 0 a crowd of class 3.

    Parameters
    ----------
    others : sequence of str
        Categories beside those of the entry.
    """
    names = [*(entry.folder for entry in spec.classes), *others]
    categories = [
        {"id": 2 * place + 1, "name": name, "supercategory": "thing"}
        for place, name in enumerate(names)
    ]
    for split, first in (("train2014", 100), ("val2014", 900)):
        images, objects = [], []
        for number in range(len(spec.classes) + 1):
            file = f"COCO_{split}_{first + number:012d}.jpg"
            folder.image(f"{split}/{file}", number)
            images.append({"id": first + number, "file_name": file, "width": 14, "height": 12})
            shown = [(label, 0) for label in sorted(labels_of(spec, number)) for _ in range(2)]
            if number == 0:
                shown.append((3, 1))
            objects += [
                {
                    "id": 10_000 * number + place,
                    "image_id": first + number,
                    "category_id": 2 * label + 1,
                    "iscrowd": crowd,
                    "bbox": [0, 0, 2, 2],
                    "segmentation": [],
                }
                for place, (label, crowd) in enumerate(shown)
            ]
        value = {"info": {}, "images": images, "annotations": objects, "categories": categories}
        folder.lines(f"annotations/instances_{split}.json", [json.dumps(value)])


def _coco_48_17(spec: DatasetSpec, folder: Folder) -> None:
    coco(spec, folder, ["traffic light"])


def nus_wide(spec: DatasetSpec, folder: Folder) -> None:
    """Backslashes in the lists of images; the last image of each part shows nothing."""
    folder.lines("Concepts81.txt", (entry.folder for entry in spec.classes))
    for part in ("Train", "Test"):
        numbers = range(len(spec.classes) + 1)
        for number in numbers:
            folder.image(f"Flickr/actor/{part}_{number:04d}.jpg", number)
        rows = [f"actor\\{part}_{number:04d}.jpg" for number in numbers]
        folder.lines(f"ImageList/{part}Imagelist.txt", rows)
        for label, entry in enumerate(spec.classes):
            flags = (str(int(label in labels_of(spec, number))) for number in numbers)
            folder.lines(f"TrainTestLabels/Labels_{entry.folder}_{part}.txt", flags)


def _nus_wide_asl(spec: DatasetSpec, folder: Folder) -> None:
    """One table; labels are a list as Python prints it."""
    rows = ["filename,label,split"]
    for split in ("train", "val"):
        for number in range(len(spec.classes)):
            name = f"{split}_{number:04d}.jpg"
            folder.image(f"images/{name}", number)
            labels = [spec.classes[label].folder for label in sorted(labels_of(spec, number))]
            rows.append(f'{name},"{labels}",{split}')
    folder.lines("nus_wid_data.csv", rows)


def _multiscene(spec: DatasetSpec, folder: Folder) -> None:
    """Names without suffix; one image of the test shows nothing."""
    header = ",".join(["image", *(entry.folder for entry in spec.classes)])
    for name, first, extra in (("Tra", 0, 0), ("Test", 7000, 1)):
        rows = [header]
        for number in range(len(spec.classes) + extra):
            image = f"img_{first + number:05d}"
            folder.image(f"images/{image}.jpg", number)
            flags = (str(int(k in labels_of(spec, number))) for k in range(len(spec.classes)))
            rows.append(",".join([image, *flags]))
        folder.lines(f"{name}.csv", rows)


def mlrsnet(spec: DatasetSpec, folder: Folder) -> None:
    """Every table has columns in an order of its own; one row of parkway lists every class."""
    count = len(spec.classes)
    own = {entry.folder: label for label, entry in enumerate(spec.classes)}
    for place, category in enumerate(CATEGORIES):
        order = [(label + 7 * place) % count for label in range(count)]
        rows = [",".join(["image", *(spec.classes[label].folder for label in order)])]
        for number in range(count):
            name = f"{category}_{number + 1:05d}.jpg"
            folder.image(f"Images/{category}/{name}", number)
            shown = labels_of(spec, number)
            if category in own:
                shown.add(own[category])
            if category == "parkway" and number == 5:
                shown = set(range(count))
            rows.append(",".join([name, *(str(int(label in shown)) for label in order)]))
        folder.lines(f"labels/{category}.csv", rows)


MULTI: dict[str, tuple[str, Callable[[DatasetSpec, Folder], None]]] = {
    "voc2007": ("voc2007", _voc2007),
    "voc2007_fedmpt": ("voc2007", _voc2007_fedmpt),
    "coco2014": ("coco", coco),
    "coco2014_48_17": ("coco", _coco_48_17),
    "nuswide": ("nuswide", nus_wide),
    "nuswide_labelled": ("nuswide", nus_wide),
    "nuswide_asl": ("nuswide", _nus_wide_asl),
    "multiscene": ("multiscene", _multiscene),
    "mlrsnet": ("mlrsnet", mlrsnet),
}
