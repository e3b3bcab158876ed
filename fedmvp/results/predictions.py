"""Which class a method gave each test image: predictions.csv, beside targets.csv.

The accuracies of targets.csv can be recomputed from it exactly, and two methods can be compared
image by image (`fedmvp.evaluation.bootstrap`).

Shapes: N images of a target.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedmvp.csv_files import read_rows, write_csv
from fedmvp.errors import DataError
from fedmvp.partition.model import Target
from fedmvp.results.scores import TargetScores

__all__ = [
    "PREDICTION_COLUMNS",
    "Answers",
    "LabelledTarget",
    "TargetPredictions",
    "read_predictions",
    "write_label_sets",
    "write_predictions",
]

PREDICTION_COLUMNS = ("fold", "group", "name", "dataset", "image", "label", "predicted")

_KEY = PREDICTION_COLUMNS[:4]
_RERUN = "run `dvc repro` to build it again"


@dataclass(frozen=True)
class TargetPredictions:
    """A method's predictions for a target's images.

    Parameters
    ----------
    labels, predicted : ndarray of int, shape [N]
        Positions in the target's classes, in the order of its images.
    scores : ndarray of float32, shape [N, K], optional
        Logits of the target's K classes.
    """

    target: Target
    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]
    scores: NDArray[np.float32] | None = None

    @property
    def correct(self) -> int:
        """How many of the images were classified correctly."""
        return int((self.predicted == self.labels).sum())


def write_predictions(path: Path, found: Iterable[TargetPredictions]) -> None:
    """Write predictions.csv: a row for each image of each target, in order."""
    write_csv(path, PREDICTION_COLUMNS, _rows(found))


def _rows(found: Iterable[TargetPredictions]) -> Iterator[dict[str, str]]:
    for part in found:
        target, names = part.target, part.target.classes
        answers = zip(target.images, part.labels.tolist(), part.predicted.tolist(), strict=True)
        for image, label, predicted in answers:
            yield {
                "fold": target.fold,
                "group": target.group,
                "name": target.name,
                "dataset": target.dataset,
                "image": image,
                "label": names[label],
                "predicted": names[predicted],
            }


def write_label_sets(
    path: Path, found: Sequence[TargetScores], thresholds: Sequence[float]
) -> None:
    """Write predictions.csv for images that show many classes: sets of names, joined by ``; ``.

    Parameters
    ----------
    thresholds : sequence of float
        Probability above which a class is predicted, by target.
    """
    write_csv(path, PREDICTION_COLUMNS, _sets(found, thresholds))


def _sets(found: Sequence[TargetScores], thresholds: Sequence[float]) -> Iterator[dict[str, str]]:
    for part, threshold in zip(found, thresholds, strict=True):
        target, names = part.target, np.array(part.target.classes, dtype=object)
        said = part.scores > np.log(threshold / (1 - threshold))
        for image, shown, predicted in zip(target.images, part.labels == 1, said, strict=True):
            yield {
                "fold": target.fold,
                "group": target.group,
                "name": target.name,
                "dataset": target.dataset,
                "image": image,
                "label": "; ".join(names[shown]),
                "predicted": "; ".join(names[predicted]),
            }


@dataclass(frozen=True)
class LabelledTarget:
    """The images of a target and the class each of them shows; both have N entries."""

    fold: str
    group: str
    name: str
    dataset: str
    images: tuple[str, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Answers:
    """The content of predictions.csv: all targets, and which images were classified correctly.

    Attributes
    ----------
    targets : tuple of LabelledTarget
    correct : tuple of ndarray of bool, shape [N] each
    """

    targets: tuple[LabelledTarget, ...]
    correct: tuple[NDArray[np.bool_], ...]


def read_predictions(path: Path, targets: Iterable[Mapping[str, Any]]) -> Answers:
    """Read predictions.csv and check it against the rows of targets.csv beside it.

    Parameters
    ----------
    targets : iterable of mapping
        Rows of targets.csv: fold, group, name, dataset, images and accuracy are read.

    Raises
    ------
    DataError
        When the file is missing, is not such a table, or does not have exactly these targets with
        these numbers of images and these accuracies.
    """
    return _read(read_rows(path), targets, path)


def _read(rows: Iterator[list[str]], targets: Iterable[Mapping[str, Any]], path: Path) -> Answers:
    if (header := next(rows, [])) != list(PREDICTION_COLUMNS):
        raise DataError(
            f"columns are not {', '.join(PREDICTION_COLUMNS)}",
            where=path,
            value=", ".join(header),
            hint=_RERUN,
        )
    labelled, correct = [], []
    for target in targets:
        found, right = _target(list(islice(rows, int(target["images"]))), target, path)
        labelled.append(found)
        correct.append(right)
    if (more := next(rows, None)) is not None:
        raise DataError(
            "more rows than targets.csv has images", where=path, value=", ".join(more), hint=_RERUN
        )
    return Answers(tuple(labelled), tuple(correct))


def _target(
    rows: list[list[str]], target: Mapping[str, Any], path: Path
) -> tuple[LabelledTarget, NDArray[np.bool_]]:
    fold, group, name, dataset = key = tuple(str(target[column]) for column in _KEY)
    about = " ".join(key)
    if len(rows) != target["images"] or any(len(row) != len(PREDICTION_COLUMNS) for row in rows):
        raise DataError(
            "there must be a row for each image of a target",
            where=path,
            value=f"{about}: {target['images']} images",
            hint=_RERUN,
        )
    *keys, images, labels, predicted = zip(*rows, strict=True)
    if stray := sorted(set(zip(*keys, strict=True)) - {key}):
        raise DataError(
            f"target is not the one at this place in targets.csv, {about}",
            where=path,
            value=" ".join(stray[0]),
            hint=_RERUN,
        )
    if len(set(images)) != len(images) or not all((*images, *labels, *predicted)):
        raise DataError(
            "an image is listed twice, or a cell is empty", where=path, value=about, hint=_RERUN
        )
    correct = np.array([label == answer for label, answer in zip(labels, predicted, strict=True)])
    accuracy = int(correct.sum()) / len(correct)
    if accuracy != float(target["accuracy"]):
        raise DataError(
            f"accuracy differs from targets.csv, {target['accuracy']}",
            where=path,
            value=f"{about}: {accuracy}",
            hint=_RERUN,
        )
    return LabelledTarget(fold, group, name, dataset, images, labels), correct
