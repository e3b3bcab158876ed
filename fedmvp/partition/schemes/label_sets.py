"""What the schemes that cluster images by their labels need of a pool."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedmvp.partition.schemes.base import Pool, Scheme

__all__ = ["require_distinct", "require_labels"]


def require_labels(
    scheme: Scheme, pool: Pool, name: str
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the labels of training and test images, [N, K] and [M, K].

    Raises
    ------
    ConfigError
        When the images show one class each.
    """
    if pool.train_labels is None or pool.test_labels is None:
        raise scheme.refusal(
            "the scheme needs images of many labels",
            pool,
            name,
            "choose a dataset of `task: multi`, or another scheme",
        )
    return pool.train_labels, pool.test_labels


def require_distinct(scheme: Scheme, pool: Pool, rows: NDArray[Any], clusters: int) -> None:
    """Refuse fewer different rows, [N, K], than there shall be clusters.

    Raises
    ------
    ConfigError
        When images show too few different sets of classes.
    """
    distinct = len(np.unique(rows, axis=0))
    if distinct < clusters:
        raise scheme.refusal(
            f"training images show {distinct} different sets of classes, too few for "
            f"{clusters} clusters",
            pool,
            scheme.describe(),
            "choose fewer clients",
        )
