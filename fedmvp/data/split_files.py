"""CoOp's split files: lists of ``[path, label, class name]`` for train, val and test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, get_args

from fedmvp.data.readers.found import Found, listed_image
from fedmvp.data.readers.layout import Located
from fedmvp.data.spec import DatasetSpec
from fedmvp.data.splits import Split
from fedmvp.errors import DataError
from fedmvp.files import read_json

__all__ = ["find_split_file", "read_split_file", "split_rows"]

_SPLITS: tuple[Split, ...] = get_args(Split)
_HINT = "correct it, or move it out of the folder to have a split drawn"


def find_split_file(spec: DatasetSpec, root: Path, located: Located) -> Path | None:
    """Return a dataset's split file, None where it has none or its paths cannot apply."""
    if spec.split_file is None or not getattr(located.layout, "keeps_names", True):
        return None
    places = (root / spec.split_file.name, located.base / spec.split_file.name)
    return next((path for path in places if path.is_file()), None)


def read_split_file(spec: DatasetSpec, located: Located, path: Path) -> list[Found]:
    """Return the images a split file lists, in the order of their paths, with their split.

    Raises
    ------
    DataError
        When the file is not valid (see `split_rows`), or an image it lists is not there.
    """
    assert spec.split_file is not None
    below = PurePosixPath(spec.split_file.below)
    found = []
    for split, name, label in split_rows(spec, path):
        relative = (below / name).as_posix()
        found.append(listed_image(spec, located.base, relative, label, split))
    return sorted(found, key=lambda image: image.path)


def split_rows(spec: DatasetSpec, path: Path) -> Iterator[tuple[Split, str, int]]:
    """Yield split, path and label of every row, checked against the catalog's classes.

    Raises
    ------
    DataError
        When a row is malformed, leaves the folder, names a class that is not its label's, or an
        image is listed twice.
    """
    value = read_json(path, _HINT)
    if not isinstance(value, dict) or set(value) != set(_SPLITS):
        raise _invalid(path, "keys are not train, val and test", None)
    seen: set[str] = set()
    for split in _SPLITS:
        rows: Any = value[split]
        if not isinstance(rows, list):
            raise _invalid(path, f"{split} is not a list", rows)
        for row in rows:
            name, label = _checked(spec, path, row)
            if name in seen:
                raise _invalid(path, "an image is listed twice", name)
            seen.add(name)
            yield split, name, label


def _checked(spec: DatasetSpec, path: Path, row: Any) -> tuple[str, int]:
    if not isinstance(row, list) or len(row) != 3 or not isinstance(row[0], str):
        raise _invalid(path, "a row is not [path, label, class name]", row)
    name, label, class_name = row
    place = PureWindowsPath(name)  # takes / and \ alike
    name = place.as_posix()
    if place.root or place.drive or ".." in place.parts:
        raise _invalid(path, "a path leaves the dataset's folder", name)
    if type(label) is not int or label not in range(len(spec.classes)):
        raise _invalid(path, "a label is not one of the dataset's", row)
    if spec.class_names[label] != class_name:
        expected = spec.class_names[label]
        raise _invalid(path, f"label {label} is {expected!r} in the catalog", row)
    return name, label


def _invalid(path: Path, what: str, value: object) -> DataError:
    return DataError(
        f"not a valid split file: {what}",
        where=path,
        value=value,
        hint=_HINT,
    )
