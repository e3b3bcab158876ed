"""What a user should know about the images of a tree before training on them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from fedmvp.attributes.schema import content_words
from fedmvp.cli.image_tree import ImageTree
from fedmvp.files import sha256_file

__all__ = ["notes_on"]

_NAMED = 8


def notes_on(tree: ImageTree, folder: Path, shots: int | None) -> list[str]:
    """Return one line for each thing worth knowing.

    Parameters
    ----------
    folder : Path
        The tree's folder; examples are named relative to it.
    shots : int
        Training images of each class for a client (``partition.shots``); None: all there are.
    """
    return [*_too_few(tree, folder, shots), *_alike(tree), *_duplicates(tree, folder)]


def _too_few(tree: ImageTree, folder: Path, shots: int | None) -> Iterator[str]:
    for name, files in tree.files.items():
        if len(files) < 2:
            yield f"class {name!r} has only one image: it is either trained on or tested"
    if shots is None:
        return
    if tree.kind == "parts":
        train = next(top for top, part in tree.tops.items() if part == "train")
        counts = {
            n: sum(path.parents[1] == folder / train for path in files)
            for n, files in tree.files.items()
        }
    else:
        counts = {name: round(len(files) / 2) for name, files in tree.files.items()}
    few = [f"{name} {count}" for name, count in counts.items() if count < shots]
    if few:
        yield (
            f"{len(few)} class(es) have fewer than the {shots} training images of "
            f"partition.shots: {_some(few)}"
        )


def _alike(tree: ImageTree) -> Iterator[str]:
    groups: dict[frozenset[str], list[str]] = defaultdict(list)
    for name in tree.classes:
        groups[content_words(name)].append(name)
    for names in groups.values():
        if len(names) > 1:
            yield f"classes with nearly the same name: {_some(names)}; are they the same class?"


def _duplicates(tree: ImageTree, folder: Path) -> Iterator[str]:
    """Report files with the same bytes: an image in two classes cannot be learned as either."""
    owner = {path: name for name, files in tree.files.items() for path in files}
    across: dict[str, list[list[Path]]] = defaultdict(list)
    for paths in _same_bytes(owner):
        tops = {path.relative_to(folder).parts[0] for path in paths}
        if len({owner[path] for path in paths}) > 1:
            across["in two classes"].append(paths)
        elif tree.kind == "parts" and len(tops) > 1:
            across["in two parts of the split"].append(paths)
        else:
            across[
                "present more than once, so one copy may be trained on and another tested"
            ].append(paths)
    for where, groups in across.items():
        first, second = (path.relative_to(folder).as_posix() for path in groups[0][:2])
        yield f"{len(groups)} image(s) are {where}, e.g. {first} and {second}"


def _same_bytes(paths: Iterable[Path]) -> Iterator[list[Path]]:
    """Yield the files of each group of equal files; only files of equal length are read."""
    lengths: dict[int, list[Path]] = defaultdict(list)
    for path in paths:
        lengths[path.stat().st_size].append(path)
    for same_length in (group for group in lengths.values() if len(group) > 1):
        digests: dict[str, list[Path]] = defaultdict(list)
        for path in same_length:
            digests[sha256_file(path)].append(path)
        yield from (group for group in digests.values() if len(group) > 1)


def _some(words: list[str]) -> str:
    more = f" and {len(words) - _NAMED} more" if len(words) > _NAMED else ""
    return ", ".join(words[:_NAMED]) + more
