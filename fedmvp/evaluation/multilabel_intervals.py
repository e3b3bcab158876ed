"""How two methods differ on images of many labels, from the scores their runs kept.

A run is the parts of its scores.safetensors (`fedmvp.results.scores`): no model is needed. Compared
are mAP on every target that is not a client's own, and h where seen and unseen classes are ranked
together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fedmvp.errors import DataError
from fedmvp.evaluation.bootstrap import RESAMPLES, Interval
from fedmvp.evaluation.multilabel_bootstrap import (
    ClassMean,
    harmonic_of,
    mean_over_classes,
    paired_interval,
    resampled_precisions,
)
from fedmvp.results.scores import VALIDATION, TargetScores

__all__ = ["Run", "score_intervals"]

Run = Sequence[TargetScores]
_LEFT_OUT = (VALIDATION, "local")
Key = tuple[str, str, tuple[int, ...]]
"""Part, metric and seeds."""


def score_intervals(
    ours: Mapping[int, Run], theirs: Mapping[int, Run], *, resamples: int = RESAMPLES
) -> dict[Key, Interval]:
    """Return the differences in every metric, for each seed and for all together.

    Parameters
    ----------
    ours, theirs : mapping of seed to Run
        A method that is not trained has one run, which is compared with each of the other's.

    Raises
    ------
    DataError
        When the methods share no seed, or their runs are not of the same images and classes.
    """
    pairs = {seed: (run, theirs[seed]) for seed, run in ours.items() if seed in theirs}
    if len(theirs) == 1:
        pairs = {seed: (run, next(iter(theirs.values()))) for seed, run in ours.items()}
    if not pairs:
        raise DataError(
            "the methods share no seed",
            where="scores.safetensors",
            value=f"{sorted(ours)} and {sorted(theirs)}",
            hint="run both with the same run.seeds",
        )
    seeds = tuple(sorted(pairs))
    groups: list[tuple[int, ...]] = [(seed,) for seed in seeds]
    if len(seeds) > 1:
        groups.append(seeds)
    first, _ = pairs[seeds[0]]
    found: dict[Key, Interval] = {}
    for part in (one.part for one in first if one.target.group not in _LEFT_OUT):
        drawn = {seed: _drawn(*pairs[seed], part, resamples) for seed in seeds}
        for name, metric in _metrics(first, part).items():
            for group in groups:
                mine, others = zip(*(drawn[seed] for seed in group), strict=True)
                found[part, name, group] = paired_interval(mine, others, metric)
    return found


def _drawn(
    mine: Run, other: Run, part: str, resamples: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both runs' average precisions on a part and its resamples, [1 + R, K] each."""
    one, two = _named(mine, part), _named(other, part)
    if one.target != two.target or not np.array_equal(one.labels, two.labels):
        raise DataError(
            "runs are not of the same images, classes and labels",
            where="scores.safetensors",
            value=part,
            hint="run `dvc repro`: one of them is older than the partition",
        )
    first, second = (
        resampled_precisions(p.scores, p.labels, dataset=part, resamples=resamples)
        for p in (one, two)
    )
    return first, second


def _metrics(run: Run, part: str) -> dict[str, ClassMean]:
    """Return map, and h where some of a target's classes are those of the global target."""
    target = _named(run, part).target
    trained = {
        (other.target.fold, other.target.dataset, name)
        for other in run
        if other.target.group == "global"
        for name in other.target.classes
    }
    seen = np.array([(target.fold, target.dataset, name) in trained for name in target.classes])
    metrics: dict[str, ClassMean] = {"map": mean_over_classes}
    if target.group == "gzsl" and seen.any() and not seen.all():
        metrics["h"] = harmonic_of(seen)
    return metrics


def _named(run: Run, part: str) -> TargetScores:
    found = next((one for one in run if one.part == part), None)
    if found is None:
        raise DataError(
            "a run has no such target",
            where="scores.safetensors",
            value=part,
            hint="run both methods in the same setting",
        )
    return found
