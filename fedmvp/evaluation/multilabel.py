"""The metrics of a target whose images have many labels.

Every metric is a fraction in [0, 1]; higher is better. ``prevalence``, the mean share of images
that show a class, is the mAP of a random order, and should be reported beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedmvp.evaluation.average_precision import (
    IGNORED,
    Form,
    average_precisions,
    mean_average_precision,
)
from fedmvp.evaluation.label_counts import counts_at, counts_top, f1_metrics, log_odds
from fedmvp.evaluation.metrics import harmonic_mean

__all__ = ["TOP", "best_on_test", "generalised_metrics", "multilabel_metrics", "prevalence"]

TOP = (3, 5)
"""Number of classes predicted per image in the metrics ``*_top3`` and ``*_top5``."""


def prevalence(labels: NDArray[Any]) -> float:
    """Return the share of images that show a class, as a mean over classes.

    Parameters
    ----------
    labels : ndarray, shape [N, K]
        A class that no image shows is left out, as in mAP.
    """
    positives = np.count_nonzero(labels == 1, axis=0)
    known = np.count_nonzero(labels != IGNORED, axis=0)
    judged = positives > 0
    return float((positives[judged] / known[judged]).mean()) if judged.any() else float("nan")


def multilabel_metrics(
    scores: NDArray[Any],
    labels: NDArray[Any],
    thresholds: Mapping[str, float],
    form: Form = "step",
) -> dict[str, float]:
    """Return every metric of one target.

    Parameters
    ----------
    scores, labels : ndarray, shape [N, K]
        See `fedmvp.evaluation.average_precision`.
    thresholds : mapping of suffix to threshold
        On the scale of the scores, e.g. ``{"": 0.0, "_val": -0.6}`` for logits: ``cp``, ``cr``,
        ``cf1``, ``cf1_hm``, ``op``, ``or`` and ``of1`` are given for each, with the suffix added.
    form : {"step", "voc11", "interpolated"}

    Returns
    -------
    dict of str to float
        ``map``; ``scored``, the number of classes it is the mean of; ``classes``; ``images``;
        ``prevalence``; the metrics at each threshold, and those with the top three and five
        classes of each image (``of1_top3``).
    """
    precisions = average_precisions(scores, labels, form)
    found = {
        "map": mean_average_precision(precisions),
        "scored": float(np.count_nonzero(~np.isnan(precisions))),
        "classes": float(labels.shape[1]),
        "images": float(labels.shape[0]),
        "prevalence": prevalence(labels),
    }
    counts = counts_at(scores, labels, list(thresholds.values())) if thresholds else None
    for place, suffix in enumerate(thresholds):
        assert counts is not None
        found |= {f"{name}{suffix}": v for name, v in f1_metrics(counts.at(place)).items()}
    for k in TOP:
        top = f1_metrics(counts_top(scores, labels, k))
        found |= {f"{name}_top{k}": value for name, value in top.items()}
    return found


def best_on_test(scores: NDArray[Any], labels: NDArray[Any]) -> dict[str, float]:
    """Return each F1 metric at its own best of the thresholds 0.1, 0.2, …, 0.9, as ``of1_max``.

    FedMPT's public code reports these. The threshold is chosen on the very images that are tested,
    so they do not measure how good a method is.

    Parameters
    ----------
    scores, labels : ndarray, shape [N, K]
        Scores are logits.
    """
    thresholds = [log_odds(number / 10) for number in range(1, 10)]
    counts = counts_at(scores, labels, thresholds)
    found = [f1_metrics(counts.at(place)) for place in range(len(thresholds))]
    return {f"{name}_max": max(own[name] for own in found) for name in found[0]}


def generalised_metrics(
    scores: NDArray[Any], labels: NDArray[Any], seen: NDArray[np.bool_], form: Form = "step"
) -> dict[str, float]:
    """Return the mAP of seen and unseen classes scored together, and of each part.

    Lowering all unseen scores by the same amount changes no class's average precision, so mAP alone
    does not reveal a method that prefers seen classes; ``of1_top3`` does.

    Parameters
    ----------
    seen : ndarray of bool, shape [K]
        Which classes were trained on.

    Returns
    -------
    dict of str to float
        ``map``, ``map_seen``, ``map_unseen`` and ``h``, the harmonic mean of both parts.
    """
    precisions = average_precisions(scores, labels, form)
    parts = [mean_average_precision(precisions[chosen]) for chosen in (seen, ~seen)]
    return {
        "map": mean_average_precision(precisions),
        "map_seen": parts[0],
        "map_unseen": parts[1],
        "h": harmonic_mean(parts),
    }
