"""Deterministic random splits for datasets without an official one.

The rule follows CoOp's (docs/datasets.md#splits): per class shuffle, the first part is train, the
next val, the rest test, with Python's ``round``. It adds a seed, and balance over domains.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Literal

from fedmvp.data.layout_spec import Part
from fedmvp.data.split_spec import FractionsRule, OfficialRule
from fedmvp.seeds import numpy_generator

__all__ = ["Split", "assign_splits", "cut_trainval"]

Split = Literal["train", "val", "test"]


def assign_splits(
    dataset: str, groups: Sequence[tuple[str, str]], rule: FractionsRule, seed: int
) -> list[Split]:
    """Assign each image to a split.

    Within a class the train images are drawn at random, but each time from the domain that is
    furthest behind its share, so that every domain ends near ``rule.train`` although a class may
    have a single image in it.

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
        Of each image, in a stable order.
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
