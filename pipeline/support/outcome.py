"""What an evaluation writes to a result folder, whether images show one class or many."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fedmvp.errors import ConfigError
from fedmvp.evaluation.many_labels import evaluate_many
from fedmvp.evaluation.metrics import metrics_of
from fedmvp.evaluation.protocol import evaluate
from fedmvp.evaluation.sanity import below_chance
from fedmvp.methods.base import Method
from fedmvp.results.files import PREDICTIONS, SCORES
from fedmvp.results.predictions import TargetPredictions, write_label_sets, write_predictions
from fedmvp.results.record import write_metrics
from fedmvp.results.scores import VALIDATION, TargetScores, write_scores
from fedmvp.results.targets import (
    BEST_ON_TEST_COLUMNS,
    MULTI_TARGET_COLUMNS,
    TARGET_COLUMNS,
    write_targets,
)
from pipeline.support.run_context import RunContext

__all__ = ["Outcome", "evaluated"]

_HEADLINES = ("local", "base", "new", "hm", "mean")
_MULTI_HEADLINES = ("map", "prevalence", "map_local", "map_zsl", "map_gzsl", "h", "of1_val")


@dataclass(frozen=True)
class Outcome:
    """The rows, metrics and answers of one evaluation.

    Parameters
    ----------
    columns, headlines : sequence of str
        Of targets.csv; the metrics that are printed, where the setting has them.
    write_answers : callable
        Writes predictions.csv to the path it is given.
    scores : sequence of TargetScores
    warnings : sequence of str
    """

    columns: Sequence[str]
    headlines: Sequence[str]
    rows: Sequence[Mapping[str, Any]]
    metrics: Mapping[str, float]
    write_answers: Callable[[Path], None]
    scores: Sequence[TargetScores]
    warnings: Sequence[str] = ()

    def write(self, folder: Path) -> None:
        """Write targets.csv, predictions.csv and scores.safetensors; metrics.json is the last."""
        write_targets(folder, self.columns, self.rows)
        self.write_answers(folder / PREDICTIONS)
        write_scores(folder / SCORES, self.scores)

    def write_metrics(self, folder: Path) -> None:
        """Write metrics.json, which marks the evaluation as complete."""
        write_metrics(folder, self.metrics)

    @property
    def headline(self) -> str:
        """The metrics that are printed."""
        keys = [key for key in self.headlines if key in self.metrics]
        return ", ".join(f"{key} {100 * self.metrics[key]:.2f} %" for key in keys)


def evaluated(
    context: RunContext,
    method: Method,
    load_fold: Callable[[str], None],
    load_personal: Callable[[str, str], None] | None = None,
) -> Outcome:
    """Evaluate a method on every target of its setting.

    Raises
    ------
    ConfigError
        When the personal evaluation is requested for images that show many classes.
    DataError
        See `fedmvp.evaluation.protocol.evaluate`.
    """
    run = _many if context.partition.task == "multi" else _one
    return run(context, method, load_fold, load_personal)


def _one(
    context: RunContext,
    method: Method,
    load_fold: Callable[[str], None],
    load_personal: Callable[[str, str], None] | None,
) -> Outcome:
    params, found = context.params.evaluation, list[TargetPredictions]()
    rows = evaluate(
        context.partition,
        method,
        load_fold,
        context.banks,
        context.test_images,
        batch_size=params.batch_size,
        load_personal=load_personal,
        record=found.append,
        keep_scores=params.scores,
    )
    return Outcome(
        TARGET_COLUMNS,
        _HEADLINES,
        rows,
        metrics_of(context.partition.protocol, rows, context.partition.official),
        lambda path: write_predictions(path, found),
        [_one_hot(part) for part in found if part.scores is not None],
        [str(target) for target in below_chance(rows)],
    )


def _one_hot(part: TargetPredictions) -> TargetScores:
    assert part.scores is not None
    labels = np.zeros(part.scores.shape, dtype=np.int8)
    labels[np.arange(len(labels)), part.labels] = 1
    return TargetScores(part.target, part.scores, labels)


def _many(
    context: RunContext,
    method: Method,
    load_fold: Callable[[str], None],
    load_personal: Callable[[str, str], None] | None,
) -> Outcome:
    if context.params.evaluation.personal:
        raise ConfigError(
            "the personal evaluation needs images that show one class each",
            where="params.yaml: evaluation.personal",
            value=True,
            hint="set it to false; `local` targets test each client's images",
        )
    rows, scores = evaluate_many(
        context.partition,
        method,
        load_fold,
        context.banks,
        context.test_images,
        context.train_images,
        context.params.multilabel,
        batch_size=context.params.evaluation.batch_size,
        load_personal=load_personal,
    )
    tested = [part for part in scores if part.target.group != VALIDATION]
    thresholds = [float(row["threshold"]) for row in rows]
    more = BEST_ON_TEST_COLUMNS if context.params.multilabel.best_on_test else ()
    return Outcome(
        (*MULTI_TARGET_COLUMNS, *more),
        _MULTI_HEADLINES,
        rows,
        metrics_of(context.partition.protocol, rows),
        lambda path: write_label_sets(path, tested, thresholds),
        scores,
    )
