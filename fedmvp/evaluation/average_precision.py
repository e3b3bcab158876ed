"""Average precision of images with many labels, class by class.

Scores and labels are [N, K]: N images, K classes. A label is 1 where the image shows the class, 0
where it does not, and `IGNORED` where it is unknown: such a pair does not count. Scores may have
any scale, since only their order within a class matters.

There are three forms; the first is the default:

* ``step``: Σ_t (R_t - R_{t-1})·P_t over distinct scores t from the highest down. Equal scores are
  one step, so the order of files does not matter (scikit-learn's form).
* ``voc11``: mean over recalls 0, 0.1, …, 1 of the best precision at that recall or beyond (PASCAL
  VOC until 2009).
* ``interpolated``: area under the best precision at each recall or beyond (PASCAL VOC since 2010).
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fedmvp.errors import DataError

__all__ = [
    "IGNORED",
    "Form",
    "average_precisions",
    "check_scores",
    "mean_average_precision",
    "precision_recall",
]

IGNORED = -1
"""Label of a pair of image and class that is unknown, such as VOC's difficult objects."""

Form = Literal["step", "voc11", "interpolated"]
_Floats = NDArray[np.float64]


def check_scores(scores: NDArray[Any], labels: NDArray[Any], where: object) -> None:
    """Refuse scores and labels for which no metric is defined.

    Parameters
    ----------
    where : object
        Origin of the scores, for the error message.

    Raises
    ------
    DataError
        When their shapes differ, a score is not a number, or a label is not 0, 1 or ignored.
    """
    if scores.ndim != 2 or scores.shape != labels.shape:
        raise DataError(
            "scores and labels are not tables of the same images and classes",
            where=where,
            value=(scores.shape, labels.shape),
            hint="give both the shape [images, classes]",
        )
    if not np.isin(labels, (0, 1, IGNORED)).all():
        stray = labels[~np.isin(labels, (0, 1, IGNORED))][0]
        raise DataError(
            "a label is not 0, 1 or ignored",
            where=where,
            value=stray.item(),
            hint=f"write 1 where the image shows the class, 0 where not, {IGNORED} to leave it out",
        )
    if np.isnan(scores).any():
        row, column = np.argwhere(np.isnan(scores))[0]
        raise DataError(
            "a score is not a number",
            where=where,
            value=f"image {row}, class {column}",
            hint="lower the learning rate: training has diverged",
        )


def average_precisions(scores: NDArray[Any], labels: NDArray[Any], form: Form = "step") -> _Floats:
    """Return the average precision of each class.

    Returns
    -------
    ndarray of float64, shape [K]
        NaN for a class that no image shows.
    """
    found = np.full(labels.shape[1], np.nan)
    for k in range(labels.shape[1]):
        if (labels[:, k] == 1).any():
            found[k] = _FORMS[form](scores[:, k], labels[:, k])
    return found


def mean_average_precision(
    precisions: _Floats, empty: Literal["leave_out", "zero"] = "leave_out"
) -> float:
    """Return the mean over classes; NaN where no class is shown.

    Parameters
    ----------
    precisions : ndarray, shape [K]
        From `average_precisions`.
    empty : {"leave_out", "zero"}
        How a class that no image shows counts. ``zero`` is for comparison with code that includes
        it in the mean, which then cannot exceed the share of the other classes.
    """
    if empty == "zero":
        precisions = np.nan_to_num(precisions)
    judged = precisions[~np.isnan(precisions)]
    return float(judged.mean()) if judged.size else float("nan")


def precision_recall(scores: NDArray[Any], labels: NDArray[Any]) -> tuple[_Floats, _Floats]:
    """Return one class's precision and recall at each distinct score, from the highest down.

    Parameters
    ----------
    scores, labels : ndarray, shape [N]
        Of one class, shown by at least one image.

    Returns
    -------
    precision, recall : ndarray of float64, shape [T]
        Recall never falls; its last value is 1.
    """
    from sklearn.metrics import precision_recall_curve

    known = labels != IGNORED
    precision, recall, _ = precision_recall_curve(labels[known] == 1, scores[known])
    # scikit-learn's last point, recall 0 with precision 1, belongs to no score.
    return precision[-2::-1], recall[-2::-1]


def _step(scores: NDArray[Any], labels: NDArray[Any]) -> float:
    from sklearn.metrics import average_precision_score

    known = labels != IGNORED
    return float(average_precision_score(labels[known] == 1, scores[known]))


def _best_beyond(scores: NDArray[Any], labels: NDArray[Any]) -> tuple[_Floats, _Floats]:
    """Return the best precision at each recall or beyond, and the recalls, [T] each."""
    precision, recall = precision_recall(scores, labels)
    return np.maximum.accumulate(precision[::-1])[::-1], recall


def _voc11(scores: NDArray[Any], labels: NDArray[Any]) -> float:
    best, recall = _best_beyond(scores, labels)
    # Whole numbers over 10: 3 * 0.1 is above 0.3, and a recall of 3 / 10 would miss it.
    places = np.searchsorted(recall, np.arange(11) / 10)
    return float(best[places].mean())


def _interpolated(scores: NDArray[Any], labels: NDArray[Any]) -> float:
    best, recall = _best_beyond(scores, labels)
    return float((np.diff(recall, prepend=0.0) * best).sum())


_FORMS = {"step": _step, "voc11": _voc11, "interpolated": _interpolated}
