"""Intervals of the difference between two methods' mAP: a paired bootstrap over test images.

Images are resampled with replacement, and each time both methods are scored on the same draw, as
for accuracies (`fedmvp.evaluation.bootstrap`). Average precision is not a mean over images, so it
is computed again for each resample: a class's images are sorted once, and the number of times each
was drawn is summed along that order.

Shapes: R resamples, N images, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedmvp.evaluation.average_precision import IGNORED
from fedmvp.evaluation.bootstrap import LEVEL, RESAMPLES, Interval
from fedmvp.seeds import numpy_generator

__all__ = [
    "ClassMean",
    "harmonic_of",
    "mean_over_classes",
    "paired_interval",
    "resampled_precisions",
]

_Floats = NDArray[np.float64]
_SEED = 0
_CHUNK_BYTES = 16 * 2**20

ClassMean = Callable[[_Floats], _Floats]
"""From average precisions [R, K], NaN where a class has no positive, to a metric [R]."""


def mean_over_classes(precisions: _Floats) -> _Floats:
    """Return mAP, [R]; classes without a positive image in a resample are left out."""
    judged = ~np.isnan(precisions)
    total = np.where(judged, precisions, 0.0).sum(axis=1)
    mean: _Floats = total / np.maximum(judged.sum(axis=1), 1)
    return mean


def harmonic_of(seen: NDArray[np.bool_]) -> ClassMean:
    """Return the metric h: the harmonic mean of the mAP of seen and of unseen classes."""

    def metric(precisions: _Floats) -> _Floats:
        one, other = (mean_over_classes(precisions[:, chosen]) for chosen in (seen, ~seen))
        both: _Floats = np.maximum(one + other, np.finfo(float).tiny)
        harmonic: _Floats = 2 * one * other / both
        return harmonic

    return metric


def resampled_precisions(
    scores: NDArray[Any], labels: NDArray[Any], *, dataset: str = "", resamples: int = RESAMPLES
) -> _Floats:
    """Return each class's average precision on the images as they are, then in each resample.

    Parameters
    ----------
    scores, labels : ndarray, shape [N, K]
    dataset : str
        Determines the draw: the same name and number of images give the same resamples, so that
        runs are paired.

    Returns
    -------
    ndarray of float64, shape [1 + R, K]
        NaN where no image that was drawn shows the class.
    """
    once = np.ones((len(labels), 1), dtype=np.int32)
    drawn = _weights(len(labels), dataset, resamples)
    return np.concatenate([_precisions(scores, labels, part) for part in (once, *drawn)])


def paired_interval(
    ours: Sequence[_Floats], theirs: Sequence[_Floats], metric: ClassMean = mean_over_classes
) -> Interval:
    """Return ours minus theirs, averaged over seeds, with its 95 % percentile interval.

    Parameters
    ----------
    ours, theirs : sequences of ndarray, shape [1 + R, K]
        From `resampled_precisions`, one per seed; the i-th runs of both form a pair.

    Raises
    ------
    ValueError
        When the methods do not have the same number of seeds.
    """
    if len(ours) != len(theirs):
        raise ValueError(f"{len(ours)} and {len(theirs)} runs cannot be paired")
    differences = np.mean(
        [metric(a) - metric(b) for a, b in zip(ours, theirs, strict=True)], axis=0
    )
    low, high = np.quantile(differences[1:], ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return Interval(float(differences[0]), float(low), float(high), "images")


def _weights(images: int, dataset: str, resamples: int) -> Iterator[NDArray[np.int32]]:
    """Yield how often each image was drawn, [N, resamples of a chunk]."""
    size = max(1, _CHUNK_BYTES // (8 * images))
    draws = numpy_generator(_SEED, "bootstrap", "scores", dataset)
    for start in range(0, resamples, size):
        rows = min(size, resamples - start)
        drawn = draws.integers(0, images, size=(rows, images))
        drawn += images * np.arange(rows)[:, np.newaxis]
        times = np.bincount(drawn.ravel(), minlength=rows * images)
        yield np.ascontiguousarray(times.reshape(rows, images).T, dtype=np.int32)


def _precisions(scores: NDArray[Any], labels: NDArray[Any], weights: NDArray[np.int32]) -> _Floats:
    """Return the step form's average precision in each resample, [R, K]."""
    found = np.full((weights.shape[1], labels.shape[1]), np.nan)
    for k in range(labels.shape[1]):
        known = np.flatnonzero(labels[:, k] != IGNORED)
        order = known[np.argsort(-scores[known, k], kind="stable")]
        ranked, shown = scores[order, k], labels[order, k] == 1
        if not shown.any():
            continue
        last = np.append(ranked[1:] != ranked[:-1], True)  # of the images with this score
        ends = np.flatnonzero(last)
        step = np.cumsum(last) - last
        hit = np.flatnonzero(shown)
        times = weights[order]
        # Sums of whole numbers are exact in any order. Only steps with a positive image count.
        total = np.cumsum(times, axis=0, dtype=np.int32)[ends[step[hit]]]
        gained = times[hit]
        hits = np.cumsum(gained, axis=0, dtype=np.int32)
        # Images with equal scores are one step: each positive counts all of them.
        precision = hits[np.searchsorted(step[hit], step[hit], side="right") - 1] / np.maximum(
            total, 1
        )
        positives = hits[-1]
        area = (gained * precision).sum(axis=0)
        found[:, k] = np.where(positives > 0, area / np.maximum(positives, 1), np.nan)
    return found
