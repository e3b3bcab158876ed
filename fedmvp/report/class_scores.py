"""Average precision, precision and recall of every class, for images that show many classes.

They are computed from scores.safetensors of the result folders, on the targets of group `global`:
the trained classes on all test images.

Shapes: N images, K classes, T points of a curve.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedmvp.errors import DataError
from fedmvp.evaluation.average_precision import (
    IGNORED,
    average_precisions,
    check_scores,
    precision_recall,
)
from fedmvp.partition.model import Target
from fedmvp.report.estimates import Estimate, estimate
from fedmvp.report.study import Study
from fedmvp.results.cells import RERUN
from fedmvp.results.files import SCORES
from fedmvp.results.runs import Run
from fedmvp.results.scores import TargetScores, read_scores

__all__ = ["ClassScore", "Curve", "class_scores", "run_scores"]

_MOST_POINTS = 30


@dataclass(frozen=True)
class Curve:
    """Precision at increasing recalls of one class, at most 30 points; both have T entries."""

    recall: tuple[float, ...]
    precision: tuple[float, ...]


@dataclass(frozen=True)
class ClassScore:
    """One class of a dataset, on all of its test images.

    Attributes
    ----------
    images, positives : int
        Images for which it is known whether they show the class, and those that do.
    precisions : mapping of method to Estimate
        Average precision over seeds.
    curves : mapping of method to Curve
        Curves of a method's lowest seed.
    """

    dataset: str
    class_name: str
    images: int
    positives: int
    precisions: Mapping[str, Estimate]
    curves: Mapping[str, Curve]

    @property
    def prevalence(self) -> float:
        """Share of the images that show the class: the average precision of a random order."""
        return self.positives / self.images


def run_scores(run: Run, results_dir: Path) -> tuple[TargetScores, ...]:
    """Return the scores of a run; none where its folder has no such file.

    Raises
    ------
    DataError
        When the file is damaged.
    """
    path = results_dir / run.setting / run.method / f"seed{run.seed}" / SCORES
    return read_scores(path) if path.exists() else ()


def class_scores(study: Study, setting: str, results_dir: Path) -> tuple[ClassScore, ...]:
    """Return the classes of a setting's global targets, in the order of the partition.

    A class that no test image shows is left out.

    Raises
    ------
    DataError
        When a file of scores is damaged, or runs were not evaluated on the same labels.
    """
    partition = study.partitions[setting]
    targets = [t for t in partition.targets if t.group == "global"]
    if partition.task == "single":
        return ()
    found: dict[tuple[str, ...], list[tuple[Run, TargetScores]]] = {}
    for run in (run for run in study.runs if run.setting == setting):
        for part in run_scores(run, results_dir):
            if part.target.group == "global":
                found.setdefault(_key(part.target), []).append((run, part))
    return tuple(row for target in targets for row in _rows(target, found.get(_key(target), [])))


def _key(target: Target) -> tuple[str, ...]:
    return (target.fold, target.dataset, target.name)


def _rows(target: Target, found: list[tuple[Run, TargetScores]]) -> Iterator[ClassScore]:
    if not found:
        return
    labels = found[0][1].labels
    for run, part in found:
        check_scores(part.scores, part.labels, f"{run.method}, seed {run.seed}: {SCORES}")
        if part.target.classes != target.classes or not np.array_equal(part.labels, labels):
            raise DataError(
                "scores are not of the partition's classes, or not of the other runs' labels",
                where=f"{run.setting}/{run.method}/seed{run.seed}/{SCORES}",
                value=target.name,
                hint=RERUN,
            )
    tables = [(run, average_precisions(part.scores, labels, _form(run))) for run, part in found]
    first: dict[str, TargetScores] = {}
    for run, part in found:
        first.setdefault(run.method, part)
    for k, name in enumerate(target.classes):
        positives = int((labels[:, k] == 1).sum())
        if not positives:
            continue
        values: dict[str, list[float]] = {}
        for run, precisions in tables:
            values.setdefault(run.method, []).append(float(precisions[k]))
        yield ClassScore(
            target.dataset,
            name,
            int((labels[:, k] != IGNORED).sum()),
            positives,
            {method: estimate(own) for method, own in values.items()},
            {method: _curve(part.scores[:, k], labels[:, k]) for method, part in first.items()},
        )


def _form(run: Run) -> Any:
    return run.params.get("multilabel", {}).get("average_precision", "step")


def _curve(scores: NDArray[Any], labels: NDArray[Any]) -> Curve:
    """Return the points at which recall increases, thinned out evenly."""
    precision, recall = precision_recall(scores, labels)
    places = np.flatnonzero(np.diff(recall, prepend=0.0) > 0)
    if len(places) > _MOST_POINTS:
        chosen = np.linspace(0, len(places) - 1, _MOST_POINTS).round().astype(np.int64)
        places = places[chosen]
    return Curve(tuple(recall[places].tolist()), tuple(precision[places].tolist()))
