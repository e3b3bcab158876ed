"""Deterministic random splits for datasets without an official one.

The rule follows CoOp's (docs/datasets.md#splits): each class is shuffled; the first part is train,
the next val, the rest test, with Python's ``round``. It adds a seed, and balance over domains.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Literal, get_args

from fedmvp.catalog.layouts import FractionsRule, OfficialRule, Part
from fedmvp.catalog.spec import DatasetSpec
from fedmvp.data.readers.image_files import ImageFile, listed_image
from fedmvp.data.readers.layout import ResolvedLayout
from fedmvp.errors import DataError
from fedmvp.files import read_json
from fedmvp.seeds import numpy_generator

__all__ = [
    "Split",
    "assign_splits",
    "cut_trainval",
    "find_split_file",
    "read_split_file",
    "split_rows",
]

Split = Literal["train", "val", "test"]


def assign_splits(
    dataset: str, groups: Sequence[tuple[str, str]], rule: FractionsRule, seed: int
) -> list[Split]:
    """Assign each image to a split.

    Within a class, train images are drawn at random, but each time from the domain that is furthest
    below its share, so that every domain ends up near ``rule.train`` although a class may have only
    one image in it.

    Parameters
    ----------
    groups : sequence of (class name, domain)
        One entry per image, in a stable order.
    seed : int
        ``data.split_seed``.

    Returns
    -------
    list of Split
        One per image, in the order given.
    """
    members: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for index, (class_name, domain) in enumerate(groups):
        names = [class_name] if rule.within == "class" else [class_name, domain]
        members[tuple(names)].append(index)
    splits: list[Split] = ["test"] * len(groups)
    ahead: Counter[str] = Counter()
    for key, indices in members.items():
        draw = numpy_generator(seed, "split", dataset, *key).permutation(len(indices))
        shuffled = [indices[i] for i in draw]
        train = _draw_balanced(shuffled, groups, rule.train, ahead)
        rest = [index for index in shuffled if index not in train]
        for index in train:
            splits[index] = "train"
        for index in rest[: round(len(indices) * rule.val)]:
            splits[index] = "val"
    return splits


def cut_trainval(
    dataset: str, classes: Sequence[str], parts: Sequence[Part], rule: OfficialRule, seed: int
) -> list[Split]:
    """Keep official parts, and cut the trainval part of each class at random.

    ``round(n * rule.val)`` of a class's n trainval images become val, as in CoOp.

    Parameters
    ----------
    classes, parts : sequence
        Class and part of each image, in a stable order.
    """
    splits: list[Split] = ["train" if part == "trainval" else part for part in parts]
    members: dict[str, list[int]] = defaultdict(list)
    for index, (name, part) in enumerate(zip(classes, parts, strict=True)):
        if part == "trainval":
            members[name].append(index)
    for name, indices in members.items():
        draw = numpy_generator(seed, "split", dataset, name).permutation(len(indices))
        for position in draw[: round(len(indices) * rule.val)]:
            splits[indices[position]] = "val"
    return splits


def _draw_balanced(
    shuffled: Sequence[int],
    groups: Sequence[tuple[str, str]],
    share: float,
    ahead: Counter[str],
) -> set[int]:
    """Draw ``round(len(shuffled) * share)`` images; `ahead` counts train images above the share."""
    queues: dict[str, list[int]] = defaultdict(list)
    for index in reversed(shuffled):
        queues[groups[index][1]].append(index)
    # Ties go to the domain that the shuffle put first.
    order = list(dict.fromkeys(groups[index][1] for index in shuffled))
    for domain in order:
        ahead[domain] -= share * len(queues[domain])  # type: ignore[assignment]
    drawn: set[int] = set()
    for _ in range(round(len(shuffled) * share)):
        domain = min((d for d in order if queues[d]), key=lambda d: round(ahead[d], 9))
        drawn.add(queues[domain].pop())
        ahead[domain] += 1
    return drawn


_SPLITS: tuple[Split, ...] = get_args(Split)
_HINT = "correct it, or move it out of the folder to have a split drawn"


def find_split_file(spec: DatasetSpec, root: Path, located: ResolvedLayout) -> Path | None:
    """Return a dataset's split file; None if it has none or its paths cannot apply."""
    if spec.split_file is None or not getattr(located.layout, "keeps_names", True):
        return None
    places = (root / spec.split_file.name, located.base / spec.split_file.name)
    return next((path for path in places if path.is_file()), None)


def read_split_file(spec: DatasetSpec, located: ResolvedLayout, path: Path) -> list[ImageFile]:
    """Return the images a split file lists, in the order of their paths, with their split.

    Raises
    ------
    DataError
        When the file is not valid (see `split_rows`), or an image it lists is missing.
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
    place = PureWindowsPath(name)  # accepts both / and \
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
