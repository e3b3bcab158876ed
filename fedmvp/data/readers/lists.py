"""Datasets whose images are listed with their classes in text files (CoOp's DATASETS.md)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from fedmvp.catalog.layouts import AircraftLists, Part, PetsLists, Sun397Lists, Ucf101Lists
from fedmvp.catalog.spec import DatasetSpec
from fedmvp.data.readers.image_files import ImageFile, hint, listed_image, read_lines
from fedmvp.errors import DataError

__all__ = ["aircraft_lists", "pets_lists", "sun397_lists", "ucf101_lists", "ucf101_name"]


def pets_lists(spec: DatasetSpec, layout: PetsLists, base: Path) -> Iterator[ImageFile]:
    """Read ``annotations/{trainval,test}.txt``: ``Abyssinian_100 1 1 1``.

    The second word is label + 1; the class is the stem without its number, in lower case.
    """
    labels = {name: label for label, name in enumerate(spec.class_names)}
    parts: tuple[Part, ...] = ("trainval", "test")
    for part in parts:
        path = base / "annotations" / f"{part}.txt"
        for line in read_lines(spec, path):
            stem, number, *_ = [*line.split(), ""]
            label = _label(spec, labels, stem.rpartition("_")[0].lower(), path, line)
            if number != str(label + 1):
                raise _malformed(spec, path, line, "class number is not that of its name")
            yield listed_image(spec, base, f"images/{stem}.jpg", label, part)


def aircraft_lists(spec: DatasetSpec, layout: AircraftLists, base: Path) -> Iterator[ImageFile]:
    """Read ``images_variant_{train,val,test}.txt``: ``0034309 F-16A/B``."""
    labels = {name: label for label, name in enumerate(spec.class_names)}
    variants = base / "variants.txt"
    if variants.is_file() and tuple(read_lines(spec, variants)) != spec.class_names:
        raise _malformed(spec, variants, "variants.txt", "order is not the catalog's")
    parts: tuple[Part, ...] = ("train", "val", "test")
    for part in parts:
        path = base / f"images_variant_{part}.txt"
        for line in read_lines(spec, path):
            stem, _, variant = line.partition(" ")
            label = _label(spec, labels, variant, path, line)
            yield listed_image(spec, base, f"images/{stem}.jpg", label, part)


def ucf101_lists(spec: DatasetSpec, layout: Ucf101Lists, base: Path) -> Iterator[ImageFile]:
    """Read ``ucfTrainTestlist/{train,test}list01.txt``: ``Archery/v_Archery_g01_c01.avi 3``.

    Only the folder is renamed: file names keep their capitals (``v_HandStandPushups`` is in
    ``Handstand_Pushups``).
    """
    labels = {name: label for label, name in enumerate(spec.class_names)}
    parts: tuple[tuple[Part, str], ...] = (("trainval", "trainlist01"), ("test", "testlist01"))
    for part, name in parts:
        path = base / "ucfTrainTestlist" / f"{name}.txt"
        for line in read_lines(spec, path):
            action, slash, video = line.split()[0].partition("/")
            folder = ucf101_name(action)
            label = _label(spec, labels, folder, path, line)
            if not slash or not video.endswith(".avi"):
                raise _malformed(spec, path, line, "not <class>/<video>.avi")
            frame = f"UCF-101-midframes/{folder}/{video.removesuffix('.avi')}.jpg"
            yield listed_image(spec, base, frame, label, part)


def ucf101_name(action: str) -> str:
    """Return CoOp's name of a class: ``ApplyEyeMakeup`` becomes ``Apply_Eye_Makeup``."""
    return "_".join(re.findall(r"[A-Z][^A-Z]*", action))


def sun397_lists(spec: DatasetSpec, layout: Sun397Lists, base: Path) -> Iterator[ImageFile]:
    """Read ``{Training,Testing}_01.txt``: ``/i/ice_skating_rink/indoor/sun_x.jpg``."""
    labels = {entry.folder: label for label, entry in enumerate(spec.classes)}
    parts: tuple[tuple[Part, str], ...] = (("trainval", "Training_01"), ("test", "Testing_01"))
    for part, name in parts:
        path = base / f"{name}.txt"
        for line in read_lines(spec, path):
            relative = line.lstrip("/")
            label = _label(spec, labels, relative.rpartition("/")[0], path, line)
            yield listed_image(spec, base, f"SUN397/{relative}", label, part)


def _label(spec: DatasetSpec, labels: Mapping[str, int], name: str, path: Path, line: str) -> int:
    if name not in labels:
        raise _malformed(spec, path, line, f"{name!r} is not a class of the dataset")
    return labels[name]


def _malformed(spec: DatasetSpec, path: Path, line: str, what: str) -> DataError:
    return DataError(
        f"list is not as expected: {what}", where=path, value=line, hint=hint(spec, path)
    )
