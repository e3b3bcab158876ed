"""Every method's scores on each group of test images, over seeds."""

from __future__ import annotations

from dataclasses import dataclass

from fedmvp.report.estimates import Estimate, estimate
from fedmvp.report.study import Study
from fedmvp.results.targets import TargetScore

__all__ = ["TargetRow", "target_rows"]


@dataclass(frozen=True)
class TargetRow:
    """A group of test images and every method's score on it."""

    target: TargetScore
    by_method: dict[str, Estimate]


def target_rows(study: Study, setting: str) -> tuple[TargetRow, ...]:
    """Return the rows of targets.csv estimated over seeds, in file order."""
    values: dict[tuple[str, ...], dict[str, list[float]]] = {}
    first: dict[tuple[str, ...], TargetScore] = {}
    for method in study.scores[setting].methods:
        for run in study.runs_of(setting, method):
            for score in run.targets:
                key = (score.fold, score.group, score.name, score.dataset, score.domain)
                first.setdefault(key, score)
                values.setdefault(key, {}).setdefault(method, []).append(score.accuracy)
    return tuple(
        TargetRow(first[key], {method: estimate(v) for method, v in by_method.items()})
        for key, by_method in values.items()
    )
