"""A site's folder of images as a manifest: class folders, or images with a table of labels."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from fedmvp.catalog.layouts import FractionsRule
from fedmvp.catalog.spec import DEFAULT_DOMAIN, SentenceSpec
from fedmvp.csv_files import read_csv
from fedmvp.data.label_sets import label_matrix, rarest_labels
from fedmvp.data.manifest import Image, Manifest, SplitOrigin, Task
from fedmvp.data.readers.image_files import is_image, is_users_folder
from fedmvp.data.splits import Split, assign_splits
from fedmvp.errors import DataError
from fedmvp.files import sha256_json

__all__ = ["labelled_manifest", "tree_manifest"]

_DATASET = "images"
_PARTS: tuple[Split, ...] = ("train", "test")
_TREES = "put images into DIR/<class>/ or DIR/{train,test}/<class>/"
_COLUMNS = ("image", "classes")
_TABLE = "write a CSV table with the columns image and classes, names with ; between them"


def tree_manifest(folder: Path, template: str, test_share: float, seed: int) -> Manifest:
    """List the images of a tree of class folders.

    Without folders ``train`` and ``test`` at its top, a share of each class is held out.

    Raises
    ------
    DataError
        When it contains fewer than two classes, or a class has images in only one of ``train``
        and ``test``.
    """
    tops = _folders(folder)
    parts = set(tops) == set(_PARTS)
    places = {part: folder / part for part in _PARTS} if parts else {None: folder}
    classes = sorted({name for place in places.values() for name in _folders(place)})
    label = {name: number for number, name in enumerate(classes)}
    found = sorted(
        (label[name], path.relative_to(folder).as_posix(), path.stat().st_size, part)
        for part, place in places.items()
        for name in _folders(place)
        for path in _images(place / name)
    )
    if len({number for number, *_ in found}) != len(classes) or len(classes) < 2:
        raise DataError(
            "contains fewer than two classes, or a class without an image",
            where=folder,
            value=len(classes),
            hint=_TREES,
        )
    groups = [(classes[number], DEFAULT_DOMAIN) for number, *_ in found]
    given = [part for *_, part in found]
    images = tuple(
        Image(f"{_DATASET}/{path}", path, (number,), DEFAULT_DOMAIN, split)
        for (number, path, _, _), split in zip(
            found, _splits(given, groups, test_share, seed), strict=True
        )
    )
    content = [[path, size] for _, path, size, _ in found]
    return _manifest(folder, template, classes, images, content, "single", parts=parts)


def labelled_manifest(
    folder: Path, table: Path, template: str, test_share: float, seed: int
) -> Manifest:
    """List the images of a table, each of which shows any number of classes.

    Where all paths begin with ``train`` or ``test``, these are the splits. Otherwise each image is
    grouped by the rarest of its classes, and a share of each group is held out.

    Parameters
    ----------
    table : Path
        CSV with the columns ``image``, a path in `folder`, and ``classes``, names with ``;``
        between them; an image without classes is a negative example of all.

    Raises
    ------
    DataError
        When the table cannot be read, an image is missing or listed twice, or there are fewer
        than two classes.
    """
    rows = sorted(_rows(folder, table), key=lambda row: row[0])
    classes = sorted({name for _, names in rows for name in names})
    if len(classes) < 2:
        raise DataError(
            "shows fewer than two classes", where=table, value=len(classes), hint=_TABLE
        )
    label = {name: number for number, name in enumerate(classes)}
    listed = [
        Image(f"{_DATASET}/{path}", path, tuple(sorted({label[n] for n in names})), "", "train")
        for path, names in rows
    ]
    rarest = rarest_labels(label_matrix(listed, range(len(classes)), len(classes)))
    groups = [(str(number), DEFAULT_DOMAIN) for number in rarest.tolist()]
    given: list[Split | None] = [
        next((part for part in _PARTS if PurePosixPath(path).parts[0] == part), None)
        for path, _ in rows
    ]
    parts = None not in given
    splits = _splits(given if parts else [None] * len(rows), groups, test_share, seed)
    images = tuple(
        Image(image.id, image.path, image.labels, DEFAULT_DOMAIN, split)
        for image, split in zip(listed, splits, strict=True)
    )
    content = [[path, (folder / path).stat().st_size, sorted(names)] for path, names in rows]
    return _manifest(folder, template, classes, images, content, "multi", parts=parts)


def _rows(folder: Path, table: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield each image's path in the folder, and the classes it shows."""
    if not folder.is_dir():
        raise DataError("folder is missing", where=folder, hint="correct the path")
    if not table.is_file():
        raise DataError("file is missing", where=table, hint=_TABLE)
    seen: set[str] = set()
    for number, row in enumerate(read_csv(table), start=2):
        if set(row) != set(_COLUMNS):
            raise DataError("has other columns", where=table, value=", ".join(row), hint=_TABLE)
        path = PurePosixPath(row["image"])
        name = path.as_posix()
        wrong = None
        if path.is_absolute() or ".." in path.parts or not is_image(path.name):
            wrong = "is not the path of an image in the tree"
        elif name in seen:
            wrong = "is listed twice"
        elif not (folder / name).is_file():
            wrong = "is not in the tree"
        if wrong:
            raise DataError(wrong, where=table, value=f"row {number}: {row['image']}", hint=_TABLE)
        seen.add(name)
        yield name, [part for part in map(str.strip, row["classes"].split(";")) if part]


def _splits(
    given: list[Split | None], groups: list[tuple[str, str]], test_share: float, seed: int
) -> list[Split]:
    """Return the given splits of images, or hold out a share of each group."""
    own = [part for part in given if part is not None]
    if len(own) == len(groups):
        return own
    rule = FractionsRule(rule="fractions", train=1 - test_share)
    return assign_splits(_DATASET, groups, rule, seed)


def _manifest(
    folder: Path,
    template: str,
    classes: Iterable[str],
    images: tuple[Image, ...],
    content: list[list[object]],
    task: Task,
    *,
    parts: bool,
) -> Manifest:
    prefix, _, rest = template.partition("{}")
    return Manifest(
        dataset=_DATASET,
        title=_DATASET,
        template=template,
        sentence=SentenceSpec(prefix=prefix.strip() or "a", suffix=rest.strip(" ,.")),
        split=SplitOrigin("official" if parts else "generated", "the site's own"),
        subset=False,
        classes=tuple(classes),
        domains=(DEFAULT_DOMAIN,),
        images=images,
        # The folder is included: sites on one machine share its caches, and may have equal names.
        content=sha256_json([str(folder.resolve()), content]),
        task=task,
    )


def _folders(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise DataError("folder is missing", where=folder, hint=_TREES)
    return sorted(e.name for e in os.scandir(folder) if e.is_dir() and is_users_folder(e.name))


def _images(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if is_image(path.name) and path.is_file())
