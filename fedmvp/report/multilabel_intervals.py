"""Intervals of differences in mAP and H, by a paired bootstrap over the images of scores.safetensors.

Only where a setting's global and generalised targets are one dataset each: a mean over datasets
would need a resample of each.

Shapes: N images, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from fedmvp.errors import DataError
from fedmvp.evaluation.bootstrap import Interval
from fedmvp.evaluation.multilabel_bootstrap import (
    ClassMean,
    difference_interval,
    harmonic_of,
    mean_over_classes,
)
from fedmvp.partition.model import Partition, Target
from fedmvp.results.cells import RERUN
from fedmvp.results.scores import TargetScores, read_scores

__all__ = ["multilabel_intervals"]

_FILE = "scores.safetensors"
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
        When a file of scores is damaged, or not of the same images as the others'.
    """
    targets = {metric: _only(partition, group) for metric, group in _METRICS.items()}
    trained = {name for client in partition.clients for name in client.classes}
    mine = _read(ours)
    found: dict[str, dict[str, Interval]] = {}
    for method, folders in others.items():
        theirs = _read(folders)
        seeds = sorted(mine.keys() & theirs.keys())
        for metric, target in targets.items() if seeds else ():
            if target is None:
                continue
            pairs = [(_part(mine[s], target), _part(theirs[s], target)) for s in seeds]
            found.setdefault(method, {})[metric] = difference_interval(
                pairs[0][0].labels,
                [one.scores for one, _ in pairs],
                [other.scores for _, other in pairs],
                _class_mean(metric, target, trained),
                dataset=target.dataset,
            )
    return found


def _class_mean(metric: str, target: Target, trained: set[str]) -> ClassMean:
    if metric != "h":
        return mean_over_classes
    return harmonic_of(np.array([name in trained for name in target.classes]))


def _only(partition: Partition, group: str) -> Target | None:
    found = [target for target in partition.targets if target.group == group]
    return found[0] if len(found) == 1 else None


def _read(folders: Mapping[int, Path]) -> dict[int, Sequence[TargetScores]]:
    return {
        seed: read_scores(folder / _FILE)
        for seed, folder in folders.items()
        if (folder / _FILE).exists()
    }


def _part(found: Sequence[TargetScores], target: Target) -> TargetScores:
    key = (target.fold, target.group, target.dataset, target.name, target.images, target.classes)
    for part in found:
        own = part.target
        if key == (own.fold, own.group, own.dataset, own.name, own.images, own.classes):
            return part
    raise DataError(
        "scores are not of the partition's images and classes",
        where=_FILE,
        value=target.name,
        hint=RERUN,
    )
