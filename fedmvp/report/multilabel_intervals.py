"""Intervals of differences in mAP and H: a paired bootstrap over images of scores.safetensors.

They exist only where a setting's global and generalised targets have one dataset each: for a mean
over datasets, each would have to be resampled.

Shapes: N images, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedmvp.errors import DataError
from fedmvp.evaluation.average_precision import check_scores
from fedmvp.evaluation.bootstrap import Interval
from fedmvp.evaluation.multilabel_bootstrap import (
    ClassMean,
    harmonic_of,
    mean_over_classes,
    paired_interval,
    resampled_precisions,
)
from fedmvp.partition.model import Partition, Target
from fedmvp.results.cells import RERUN
from fedmvp.results.files import SCORES
from fedmvp.results.scores import TargetScores, read_scores

__all__ = ["multilabel_intervals"]

_METRICS = {"map": "global", "map_zsl": "zsl", "map_gzsl": "gzsl", "h": "gzsl"}


def multilabel_intervals(
    partition: Partition, ours: Mapping[int, Path], others: Mapping[str, Mapping[int, Path]]
) -> dict[str, dict[str, Interval]]:
    """Compare one method with others; ours minus theirs by method and metric.

    Parameters
    ----------
    ours, others : mapping of seed to Path
        Result folders of the method in focus, and of each other method. A method that shares no
        seed with it, or has no scores, is left out.

    Raises
    ------
    DataError
        When a file of scores is damaged, or has other images than the others.
    """
    targets = {metric: _only(partition, group) for metric, group in _METRICS.items()}
    trained = {name for client in partition.clients for name in client.classes}
    mine = _read(ours)
    found: dict[str, dict[str, Interval]] = {}
    drawn: dict[tuple[int, str], NDArray[np.float64]] = {}

    def of_mine(seed: int, target: Target) -> NDArray[np.float64]:
        """Return the resampled scores with which every other method is compared."""
        if (seed, target.group) not in drawn:
            drawn[seed, target.group] = _resampled(mine[seed], target)
        return drawn[seed, target.group]

    for method, folders in others.items():
        theirs = _read(folders)
        seeds = sorted(mine.keys() & theirs.keys())
        for target in dict.fromkeys(targets.values()) if seeds else ():
            if target is None:
                continue
            rows = [_resampled(theirs[seed], target) for seed in seeds]
            own = [of_mine(seed, target) for seed in seeds]
            for metric in (name for name, tested in targets.items() if tested == target):
                mean = _class_mean(metric, target, trained)
                found.setdefault(method, {})[metric] = paired_interval(own, rows, mean)
    return found


def _resampled(found: Sequence[TargetScores], target: Target) -> NDArray[np.float64]:
    part = _part(found, target)
    check_scores(part.scores, part.labels, f"{SCORES}: {part.part}")
    return resampled_precisions(part.scores, part.labels, dataset=target.dataset)


def _class_mean(metric: str, target: Target, trained: set[str]) -> ClassMean:
    if metric != "h":
        return mean_over_classes
    return harmonic_of(np.array([name in trained for name in target.classes]))


def _only(partition: Partition, group: str) -> Target | None:
    found = [target for target in partition.targets if target.group == group]
    return found[0] if len(found) == 1 else None


def _read(folders: Mapping[int, Path]) -> dict[int, Sequence[TargetScores]]:
    return {
        seed: read_scores(folder / SCORES)
        for seed, folder in folders.items()
        if (folder / SCORES).exists()
    }


def _part(found: Sequence[TargetScores], target: Target) -> TargetScores:
    key = (target.fold, target.group, target.dataset, target.name, target.images, target.classes)
    for part in found:
        own = part.target
        if key == (own.fold, own.group, own.dataset, own.name, own.images, own.classes):
            return part
    raise DataError(
        "scores are not of the partition's images and classes",
        where=SCORES,
        value=target.name,
        hint=RERUN,
    )
