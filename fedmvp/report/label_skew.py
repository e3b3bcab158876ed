"""Which classes clients' images show together: counts, and how much clients differ in them.

Shapes: N images, K classes, U clients.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["conditional_difference", "marginal_divergence", "pair_counts"]

_Counts = NDArray[np.int64]


def pair_counts(labels: NDArray[Any]) -> _Counts:
    """Return how many images show both of two classes, [N, K] → [K, K]; one class on the diagonal.

    Parameters
    ----------
    labels : ndarray of int
        1 where an image shows the class; everything else counts as not shown.
    """
    shown = (labels == 1).astype(np.int64)
    counts: _Counts = shown.T @ shown
    return counts


def marginal_divergence(counts: Sequence[_Counts]) -> float:
    """Return the mean Jensen-Shannon divergence of two clients' label frequencies, in bits.

    0 where all clients show the classes in the same proportions, 1 where no two share a class; NaN
    for a single client.

    Parameters
    ----------
    counts : sequence of ndarray, [K, K] each
        From `pair_counts`; clients without any label are left out.
    """
    shares = [np.diag(own) / np.trace(own) for own in counts if np.trace(own)]
    found = [
        _entropy((one + other) / 2) - (_entropy(one) + _entropy(other)) / 2
        for one, other in combinations(shares, 2)
    ]
    return float(np.mean(found)) if found else float("nan")


def conditional_difference(counts: Sequence[_Counts]) -> float:
    """Return the mean absolute difference of P(j | i) of two clients, over classes i ≠ j.

    P(j | i) is the share of a client's images of class i that show class j. Classes i are those
    that both clients show, j those that either does; NaN where no two clients share a class.
    """
    found = []
    for one, other in combinations(counts, 2):
        both = (np.diag(one) > 0) & (np.diag(other) > 0)
        either = np.flatnonzero((np.diag(one) > 0) | (np.diag(other) > 0))
        for i in np.flatnonzero(both):
            apart = np.abs(one[i] / one[i, i] - other[i] / other[i, i])
            found += apart[either[either != i]].tolist()
    return float(np.mean(found)) if found else float("nan")


def _entropy(shares: NDArray[np.float64]) -> float:
    positive = shares[shares > 0]
    return float(-(positive * np.log2(positive)).sum())
