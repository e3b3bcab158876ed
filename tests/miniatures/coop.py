"""The CoOp datasets as their archives lay them out (CoOp's DATASETS.md)."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np

from fedmvp.catalog.spec import DatasetSpec
from tests.miniatures.writing import Folder

__all__ = ["COOP"]

_CATS = frozenset(
    {
        "abyssinian",
        "bengal",
        "birman",
        "bombay",
        "british_shorthair",
        "egyptian_mau",
        "maine_coon",
        "persian",
        "ragdoll",
        "russian_blue",
        "siamese",
        "sphynx",
    }
)
_ODD_KINDS = ("png", "grey", "cmyk", "rotated")


def _caltech101(spec: DatasetSpec, folder: Folder) -> None:
    """Class folders with two that are not classes, and CoOp's split file."""
    top = "101_ObjectCategories"
    split: dict[str, list[list[object]]] = {"train": [], "val": [], "test": []}
    for label, entry in enumerate(spec.classes):
        for number, part in ((1, "train"), (2, "val"), (3, "test")):
            path = f"{entry.folder}/image_{number:04d}.jpg"
            folder.image(f"{top}/{path}", label)
            split[part].append([path, label, entry.name])
    for stray in ("BACKGROUND_Google", "Faces_easy"):
        folder.image(f"{top}/{stray}/image_0001.jpg", 0)
    folder.lines("split_zhou_Caltech101.json", [json.dumps(split)])


def _oxford_flowers(spec: DatasetSpec, folder: Folder) -> None:
    """Numbered images with a MATLAB list of labels from 1; names by their number as text."""
    labels = [label for label in range(len(spec.classes)) for _ in range(2)]
    for number, label in enumerate(labels, start=1):
        folder.image(f"jpg/image_{number:05d}.jpg", label)
    folder.mat("imagelabels.mat", labels=np.array([labels]) + 1)
    names = {str(label + 1): name for label, name in enumerate(spec.class_names)}
    folder.lines("cat_to_name.json", [json.dumps(names)])


def _fgvc_aircraft(spec: DatasetSpec, folder: Folder) -> None:
    """Seven-digit ids; variant names hold spaces and slashes."""
    folder.lines("variants.txt", spec.class_names)
    parts = ("train", "val", "test")
    for position, part in enumerate(parts):
        rows = []
        for label, name in enumerate(spec.class_names):
            number = 1_000_000 + len(parts) * label + position
            folder.image(f"images/{number}.jpg", label)
            rows.append(f"{number} {name}")
        folder.lines(f"images_variant_{part}.txt", rows)


def _ucf101(spec: DatasetSpec, folder: Folder) -> None:
    """Frames in folders with underscores; lists name videos in folders without."""
    actions = [name.replace("_", "") for name in spec.class_names]
    index = [f"{number} {action}" for number, action in enumerate(actions, start=1)]
    lists: dict[str, list[str]] = {"trainlist01": [], "testlist01": []}
    for label, (action, entry) in enumerate(zip(actions, spec.classes, strict=True)):
        stem = "HandStandPushups" if action == "HandstandPushups" else action
        for group, (name, rows) in enumerate(lists.items(), start=1):
            video = f"v_{stem}_g{group:02d}_c01"
            folder.image(f"UCF-101-midframes/{entry.name}/{video}.jpg", label)
            number = f" {label + 1}" if name == "trainlist01" else ""
            rows.append(f"{action}/{video}.avi{number}")
    folder.lines("ucfTrainTestlist/classInd.txt", index)
    for name, rows in lists.items():
        folder.lines(f"ucfTrainTestlist/{name}.txt", rows)


def _oxford_pets(spec: DatasetSpec, folder: Folder) -> None:
    """Cats are capitalised, dogs are not; some files are not what their names say."""
    for number, part in ((1, "trainval"), (2, "test")):
        rows = []
        for label, name in enumerate(spec.class_names):
            cat = name in _CATS
            stem = f"{name.title() if cat else name}_{number}"
            kind = _ODD_KINDS[label] if label < len(_ODD_KINDS) else "rgb"
            folder.image(f"images/{stem}.jpg", label, kind)
            rows.append(f"{stem} {label + 1} {1 if cat else 2} {label + 1}")
        folder.lines(f"annotations/{part}.txt", rows)
    folder.lines("images/Abyssinian_100.mat", [""])


def _class_folders(top: str, name: str) -> Callable[[DatasetSpec, Folder], None]:
    def fill(spec: DatasetSpec, folder: Folder) -> None:
        for label, entry in enumerate(spec.classes):
            for number in (1, 2):
                file = name.format(folder=entry.folder, number=number)
                folder.image(f"{top}/{entry.folder}/{file}", label)

    return fill


def _stanford_cars(spec: DatasetSpec, folder: Folder) -> None:
    """Numbered images, classes from 1 in MATLAB structs, names in the devkit."""
    kinds = {
        "cars_train": "devkit/cars_train_annos.mat",
        "cars_test": "cars_test_annos_withlabels.mat",
    }
    for name, listing in kinds.items():
        rows = np.zeros(len(spec.classes), dtype=[("class", object), ("fname", object)])
        for label in range(len(spec.classes)):
            file = f"{label + 1:05d}.jpg"
            folder.image(f"{name}/{file}", label)
            rows[label] = (label + 1, file)
        folder.mat(listing, annotations=rows)


def _sun397(spec: DatasetSpec, folder: Folder) -> None:
    """Letters, and classes of one or two levels."""
    folder.lines("ClassName.txt", (f"/{entry.folder}" for entry in spec.classes))
    for name in ("Training_01", "Testing_01"):
        rows = []
        for label, entry in enumerate(spec.classes):
            path = f"{entry.folder}/sun_{name[:2].lower()}{label:04d}.jpg"
            folder.image(f"SUN397/{path}", label)
            rows.append(f"/{path}")
        folder.lines(f"{name}.txt", rows)


COOP: dict[str, tuple[str, Callable[[DatasetSpec, Folder], None]]] = {
    "caltech101": ("caltech-101", _caltech101),
    "oxford_flowers": ("oxford_flowers", _oxford_flowers),
    "fgvc_aircraft": ("fgvc_aircraft", _fgvc_aircraft),
    "ucf101": ("ucf101", _ucf101),
    "oxford_pets": ("oxford_pets", _oxford_pets),
    "food101": ("food-101", _class_folders("images", "{number}.jpg")),
    "dtd": ("dtd", _class_folders("images", "{folder}_{number:04d}.jpg")),
    "stanford_cars": ("stanford_cars", _stanford_cars),
    "sun397": ("sun397", _sun397),
    "eurosat": ("eurosat", _class_folders("2750", "{folder}_{number}.jpg")),
}
