"""A run's predictions for single images that show many classes, compared with their labels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from fedmvp.evaluation.average_precision import IGNORED
from fedmvp.report.class_scores import run_scores
from fedmvp.results.explained import ExplainedImage
from fedmvp.results.runs import Run
from fedmvp.results.scores import VALIDATION, TargetScores

__all__ = ["LabelAnswer", "label_answers"]

_MOST_WRONG = 5


@dataclass(frozen=True)
class LabelAnswer:
    """A class that an image shows or is predicted to show.

    Attributes
    ----------
    kind : {"found", "missed", "wrong", "ignored"}
        Shown and predicted; shown but not predicted; predicted but not shown; predicted where the
        label is unknown.
    probability : float
    """

    class_name: str
    kind: Literal["found", "missed", "wrong", "ignored"]
    probability: float


def label_answers(
    run: Run, images: Sequence[ExplainedImage], results_dir: Path
) -> Mapping[str, tuple[LabelAnswer, ...]]:
    """Return the answers by image id: found, missed, then the first five wrong ones.

    Within a kind, the most probable comes first.

    A class is predicted at the threshold chosen by the clients' validation counts, as in
    predictions.csv. An image of several targets is looked up in the one whose labels the
    explanation names.
    """
    parts = [
        part
        for part in run_scores(run, results_dir)
        if part.target.group not in (VALIDATION, "local")
    ]
    thresholds = {
        (row.fold, row.group, row.dataset, row.name): row.measures.get("threshold", 0.5)
        for row in run.targets
    }
    found = {}
    for image in images:
        for part in parts:
            target = part.target
            if target.dataset != image.dataset or image.image_id not in target.images:
                continue
            key = (target.fold, target.group, target.dataset, target.name)
            row = target.images.index(image.image_id)
            labels = {n for n, y in zip(target.classes, part.labels[row], strict=True) if y == 1}
            if labels == set(image.class_name.split("; ")) - {"nothing"}:
                found[image.image_id] = _answers(part, row, thresholds[key])
                break
    return found


def _answers(part: TargetScores, row: int, threshold: float) -> tuple[LabelAnswer, ...]:
    answers = []
    wrong = 0
    for k in np.argsort(-part.scores[row], kind="stable").tolist():
        probability = 1 / (1 + math.exp(min(-float(part.scores[row, k]), 700.0)))
        said, label = probability > threshold, int(part.labels[row, k])
        if label == 1:
            kind: Literal["found", "missed", "wrong", "ignored"] = "found" if said else "missed"
        elif not said or wrong == _MOST_WRONG:
            continue
        else:
            kind = "ignored" if label == IGNORED else "wrong"
            wrong += 1
        answers.append(LabelAnswer(part.target.classes[k], kind, probability))
    order = ("found", "missed", "wrong", "ignored")
    return tuple(sorted(answers, key=lambda answer: order.index(answer.kind)))
