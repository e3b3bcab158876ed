"""Which classes an image shows, as sets: one class, several, or none.

Shapes: N images, K classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fedmvp.errors import DataError

__all__ = ["IGNORED", "Labelled", "label_matrix", "only_label", "rarest_labels"]

IGNORED = -1
"""Entry of a label matrix that is neither shown nor absent: difficult or unknown."""


class Labelled(Protocol):
    """Something with labels: an image of a manifest, or a file that a reader found."""

    @property
    def labels(self) -> tuple[int, ...]:
        """Classes shown, ascending."""
        ...

    @property
    def ignored(self) -> tuple[int, ...]:
        """Classes that count neither as shown nor as absent, ascending."""
        ...


def only_label(labels: tuple[int, ...], path: str) -> int:
    """Return the only label of an image of a single-label dataset.

    Raises
    ------
    DataError
        When it has none or several.
    """
    if len(labels) != 1:
        raise DataError(
            "an image of one class is needed here, not one of many labels",
            where=path,
            value=f"{len(labels)} labels",
            hint="use a dataset whose catalog entry says `task: single`",
        )
    return labels[0]


def label_matrix(
    images: Iterable[Labelled], chosen: Sequence[int], classes: int
) -> NDArray[np.int8]:
    """Return 1 for shown, 0 for absent and -1 for ignored, [N, len(chosen)].

    Parameters
    ----------
    chosen : sequence of int
        Labels of the columns.
    classes : int
        Number of all classes.
    """
    known = list(images)
    matrix = np.zeros((len(known), classes), dtype=np.int8)
    for row, image in zip(matrix, known, strict=True):
        row[list(image.ignored)] = IGNORED
        row[list(image.labels)] = 1
    return np.ascontiguousarray(matrix[:, list(chosen)])


def rarest_labels(
    matrix: NDArray[np.int8], among: NDArray[np.int8] | None = None
) -> NDArray[np.int64]:
    """Return each image's rarest shown class, [N, K] → [N]; K for an image that shows none.

    Among equally rare classes, the first is chosen.

    Parameters
    ----------
    among : ndarray of int8, shape [M, K], optional
        The images in which frequencies are counted; by default those of `matrix`.
    """
    shown = matrix == 1
    counts = ((matrix if among is None else among) == 1).sum(axis=0)
    rank = np.where(shown, counts, np.iinfo(np.int64).max)
    rarest: NDArray[np.int64] = rank.argmin(axis=1).astype(np.int64)
    rarest[~shown.any(axis=1)] = shown.shape[1]
    return rarest
