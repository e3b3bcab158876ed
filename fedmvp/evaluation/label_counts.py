"""Precision, recall and F1 of predicted labels, from whole numbers that add up over clients.

A client counts on its validation images and sends three numbers for each class and threshold. Their
sums are those of one large validation set, so the threshold with the best OF1 is chosen without
moving an image or a score.

Names: CP, CR and CF1 are means over classes of precision, recall and F1; OP, OR and OF1 are taken
over all pairs of image and class together. Some papers call the harmonic mean of CP and CR "CF1";
here that is ``cf1_hm``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedmvp.evaluation.average_precision import IGNORED
from fedmvp.evaluation.metrics import harmonic_mean

__all__ = [
    "THRESHOLDS",
    "Counts",
    "best_threshold",
    "counts_at",
    "counts_top",
    "f1_metrics",
    "log_odds",
]

THRESHOLDS = tuple(number / 20 for number in range(1, 20))
"""Probabilities from which a threshold is chosen: 0.05, 0.1, …, 0.95."""

_Floats = NDArray[np.float64]


def log_odds(probability: float) -> float:
    """Return the logit of a probability: its threshold for scores that are logits.

    Examples
    --------
    >>> log_odds(0.5)
    0.0
    """
    return math.log(probability / (1 - probability))


@dataclass(frozen=True)
class Counts:
    """Numbers of images, by class on the last axis; ignored pairs do not count.

    Attributes
    ----------
    hits : ndarray of int64, shape [..., K]
        Images that show the class and were predicted to.
    predicted : ndarray of int64, shape [..., K]
        Images that were predicted to show it.
    positives : ndarray of int64, shape [..., K]
        Images that show it.
    """

    hits: NDArray[np.int64]
    predicted: NDArray[np.int64]
    positives: NDArray[np.int64]

    def __add__(self, other: Counts) -> Counts:
        """Return the counts over both sets of images."""
        return Counts(
            self.hits + other.hits,
            self.predicted + other.predicted,
            self.positives + other.positives,
        )

    def at(self, index: int) -> Counts:
        """Return the counts at one place of the first axis."""
        return Counts(self.hits[index], self.predicted[index], self.positives[index])


def counts_at(scores: NDArray[Any], labels: NDArray[Any], thresholds: Sequence[float]) -> Counts:
    """Count with a class predicted if its score is above a threshold.

    Parameters
    ----------
    scores, labels : ndarray, shape [N, K]
    thresholds : sequence of float
        T of them, on the scale of the scores.

    Returns
    -------
    Counts
        Of shape [T, K].
    """
    parts = [_count(scores > threshold, labels) for threshold in np.asarray(thresholds, float)]
    return Counts(
        np.stack([part.hits for part in parts]),
        np.stack([part.predicted for part in parts]),
        np.stack([part.positives for part in parts]),
    )


def counts_top(scores: NDArray[Any], labels: NDArray[Any], k: int) -> Counts:
    """Count with the k best classes of each image predicted, whatever their scores.

    Ignored classes are skipped. Among equal scores, the class listed first is taken.

    Returns
    -------
    Counts
        Of shape [K].
    """
    known = np.where(labels == IGNORED, -np.inf, scores)
    best = np.argsort(-known, axis=1, kind="stable")[:, :k]
    predicted = np.zeros(labels.shape, dtype=bool)
    np.put_along_axis(predicted, best, True, axis=1)
    return _count(predicted, labels)


def _count(predicted: NDArray[np.bool_], labels: NDArray[Any]) -> Counts:
    return Counts(
        np.count_nonzero(predicted & (labels == 1), axis=0).astype(np.int64),
        np.count_nonzero(predicted & (labels != IGNORED), axis=0).astype(np.int64),
        np.count_nonzero(labels == 1, axis=0).astype(np.int64),
    )


def f1_metrics(counts: Counts) -> dict[str, float]:
    """Return cp, cr, cf1, cf1_hm, op, or and of1.

    0 / 0 counts as 0. Classes that are neither shown nor predicted are left out of means.

    Parameters
    ----------
    counts : Counts
        Of shape [K].
    """
    precision = _ratio(counts.hits, counts.predicted)
    recall = _ratio(counts.hits, counts.positives)
    f1 = _ratio(2 * counts.hits, counts.predicted + counts.positives)
    met = (counts.predicted + counts.positives) > 0
    cp, cr, cf1 = (float(v[met].mean()) if met.any() else 0.0 for v in (precision, recall, f1))
    hits, predicted, positives = (
        int(part.sum()) for part in (counts.hits, counts.predicted, counts.positives)
    )
    return {
        "cp": cp,
        "cr": cr,
        "cf1": cf1,
        "cf1_hm": harmonic_mean([cp, cr]),
        "op": hits / predicted if predicted else 0.0,
        "or": hits / positives if positives else 0.0,
        "of1": 2 * hits / (predicted + positives) if predicted + positives else 0.0,
    }


def best_threshold(counts: Counts, thresholds: Sequence[float]) -> float:
    """Return the threshold with the best OF1; among equal ones the middle, of two the lower.

    Parameters
    ----------
    counts : Counts
        Of shape [T, K], summed over clients.
    thresholds : sequence of float
        The T thresholds, ascending.
    """
    of1 = [f1_metrics(counts.at(place))["of1"] for place in range(len(thresholds))]
    best = [place for place, value in enumerate(of1) if value == max(of1)]
    return thresholds[best[(len(best) - 1) // 2]]


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> _Floats:
    return np.divide(part, whole, out=np.zeros(whole.shape), where=whole > 0)
