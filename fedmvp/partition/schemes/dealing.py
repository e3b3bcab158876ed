"""Steps that several schemes share: cutting a class in proportions, dealing test images.

Shapes: U clients.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fedmvp.partition.schemes.base import Draws, Pool, Positions, Share, shares

__all__ = ["cut", "even_parts", "tested_alike"]


def cut(positions: Positions, proportions: NDArray[np.float64]) -> list[Positions]:
    """Cut positions into U parts at ⌊cumsum(p) · n⌋, as the published Dirichlet rules do."""
    edges = (np.cumsum(proportions) * len(positions)).astype(np.int64)[:-1]
    return np.split(positions, edges)


def even_parts(count: int, clients: int, draw: Draws) -> list[Positions]:
    """Return `count` positions in random order in U parts whose sizes differ by at most one."""
    return np.array_split(draw.permutation(count), clients)


def tested_alike(pool: Pool, trains: Sequence[Positions], draw: Draws) -> list[Share]:
    """Give each client the test images of a class in proportion to its training images of it.

    A class's test images are shuffled and cut at ⌊cumsum(p) · n + u⌋, one u ~ U(0, 1) per class:
    every image has one owner, and every client gets its proportion in expectation, even where a
    class has fewer test images than owners.
    """
    tests: list[list[int]] = [[] for _ in trains]
    counts = [np.bincount(pool.train[train], minlength=pool.classes) for train in trains]
    for label in range(pool.classes):
        _, found = pool.of_class(label)
        owned = np.array([count[label] for count in counts], np.float64)
        offset = float(draw.uniform())
        if not len(found) or not owned.sum():
            continue
        edges = np.floor(np.cumsum(owned) / owned.sum() * len(found) + offset).astype(np.int64)
        for part, dealt in zip(tests, np.split(draw.permutation(found), edges[:-1]), strict=True):
            part.extend(dealt.tolist())
    return shares(trains, tests)
