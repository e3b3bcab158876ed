"""The two rules that make clients: contiguous class blocks, and few shots per class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from fedmvp.data.label_sets import Labelled
from fedmvp.seeds import numpy_generator

__all__ = ["base_count", "class_blocks", "draw_labelled", "draw_shots"]

_T = TypeVar("_T")
_Labelled = TypeVar("_Labelled", bound=Labelled)


def base_count(classes: int) -> int:
    """Return how many of a dataset's classes are base classes: half of them, rounded up.

    Examples
    --------
    >>> base_count(37)
    19
    """
    return -(-classes // 2)


def class_blocks(classes: Sequence[_T], per_client: int) -> list[tuple[_T, ...]]:
    """Cut classes in label order into one contiguous block per client.

    The number of clients is ``numpy.around(len(classes) / per_client)`` (halves to even), at
    least 1; the last client takes all the remainder (docs/method.md#class-blocks).

    Examples
    --------
    >>> [len(block) for block in class_blocks(range(50), 20)]
    [20, 30]
    """
    clients = max(1, int(np.around(len(classes) / per_client)))
    last = (clients - 1) * per_client
    blocks = [tuple(classes[start : start + per_client]) for start in range(0, last, per_client)]
    return [*blocks, tuple(classes[last:])]


def draw_shots(
    images: Sequence[_T], shots: int, seed: int, dataset: str, domain: str, class_name: str
) -> list[_T]:
    """Draw ``min(shots, len(images))`` images of one class, kept in the order given.

    The draw depends only on seed, dataset, domain and class name, not on other classes or clients.
    A draw of more shots includes the images of a draw of fewer.

    Parameters
    ----------
    seed : int
        ``partition.seed``.
    domain : str
        The client's domain, or "" for a client with all domains.
    """
    generator = numpy_generator(seed, "shots", dataset, domain, class_name)
    chosen = sorted(generator.permutation(len(images))[:shots].tolist())
    return [images[i] for i in chosen]


def draw_labelled(
    images: Sequence[_Labelled], shots: int, classes: int, draw: np.random.Generator
) -> list[_Labelled]:
    """Draw images of many labels in random order, as long as one of an image's labels is needed.

    A label is needed until `shots` images show it. As images show several classes, frequent classes
    get more.

    Parameters
    ----------
    classes : int
        Number of labels.
    """
    counts = np.zeros(classes, dtype=np.int64)
    chosen = []
    for place in draw.permutation(len(images)):
        labels = list(images[place].labels)
        if labels and (counts[labels] < shots).any():
            counts[labels] += 1
            chosen.append(int(place))
    return [images[place] for place in sorted(chosen)]
