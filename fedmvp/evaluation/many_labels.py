"""Evaluating a method on targets whose images show many classes (docs/multilabel.md#evaluation).

The last round's global model is used; nothing is selected on test images. All classes share one
threshold, which is chosen from the sum of counts on the clients' validation images.

Shapes: N images, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedmvp.data.image_source import LoadImages
from fedmvp.errors import DataError
from fedmvp.evaluation.attended import candidate_classes, trained_classes
from fedmvp.evaluation.average_precision import average_precisions, mean_average_precision
from fedmvp.evaluation.images import EvaluationImages
from fedmvp.evaluation.label_counts import (
    THRESHOLDS,
    Counts,
    best_threshold,
    counts_at,
    log_odds,
)
from fedmvp.evaluation.multilabel import best_on_test, generalised_metrics, multilabel_metrics
from fedmvp.evaluation.protocol import batch_scores
from fedmvp.methods.banks import Banks
from fedmvp.methods.base import Method
from fedmvp.methods.classes import ClassSet
from fedmvp.multilabel_config import MultiLabelParams
from fedmvp.partition.annotations import read_annotations
from fedmvp.partition.model import Client, Partition, Target
from fedmvp.results.scores import VALIDATION, TargetScores

__all__ = ["evaluate_many", "score_target", "target_row"]

_HALF = 0.5


def evaluate_many(
    partition: Partition,
    method: Method,
    load_fold: Callable[[str], None],
    banks: Banks,
    test_images: LoadImages,
    train_images: LoadImages,
    params: MultiLabelParams,
    *,
    batch_size: int,
    load_personal: Callable[[str, str], None] | None = None,
) -> tuple[list[dict[str, Any]], list[TargetScores]]:
    """Return a row per target, and all scores of targets and of validation images.

    Parameters
    ----------
    load_fold : callable
        Puts a fold's tensors into the method.
    train_images : LoadImages
        Loads the clients' validation images.
    load_personal : callable, optional
        Puts the tensors of (fold, client) into a personal method, for local targets.

    Raises
    ------
    DataError
        When scores are not finite.
    """
    rows: list[dict[str, Any]] = []
    kept: list[TargetScores] = []
    tests = _tables(partition.targets, test_images, method, batch_size)
    for fold in partition.folds:
        load_fold(fold)
        method.enter(None)
        known = _Known()
        validated = list(_validation(partition, fold, method, banks, train_images, batch_size))
        threshold = _threshold(validated)
        kept += validated
        seen = {(c.dataset, name) for c in partition.clients_of(fold) for name in c.classes}
        for target in partition.targets_of(fold):
            if method.personal and target.group == "local" and load_personal:
                load_personal(fold, target.name)
                method.enter(method.first_phase)
                classes = candidate_classes(
                    banks, target, method.head, trained_classes(partition, target)
                )
                found = score_target(method, target, classes, tests, batch_size)
                load_fold(fold)
                method.enter(None)
            else:
                classes = candidate_classes(
                    banks, target, method.head, trained_classes(partition, target)
                )
                found = known(target, banks) or known.keep(
                    score_target(method, target, classes, tests, batch_size), banks
                )
            trained = np.array([(target.dataset, name) in seen for name in target.classes])
            rows.append(target_row(found, threshold, trained, params))
            kept.append(found)
    return rows, kept


def score_target(
    method: Method, target: Target, classes: ClassSet, images: EvaluationImages, batch_size: int
) -> TargetScores:
    """Return the logits of a target's images among `classes`.

    Raises
    ------
    DataError
        When a score is not finite.
    """
    chosen = images(target)
    parts = batch_scores(method, chosen, classes, images, batch_size)
    scores = np.concatenate([part.float().cpu().numpy() for part in parts])
    if not np.isfinite(scores).all():
        raise DataError(
            "scores are not finite",
            where=f"method {type(method).__name__}",
            hint="the learned tensors are damaged; train again",
        )
    said = read_annotations(target.annotations) if target.annotations else chosen.labels
    return TargetScores(target, scores, said.astype(np.int8))


class _Known:
    """Logits computed so far: a local target's images are also in the global target."""

    def __init__(self) -> None:
        self._rows: dict[object, dict[str, tuple[NDArray[np.float32], NDArray[np.int8]]]] = {}

    def __call__(self, target: Target, banks: Banks) -> TargetScores | None:
        """Return a target's logits if they are known for all its images and classes."""
        rows = self._rows.get(_texts(target, banks), {})
        if not all(image in rows for image in target.images):
            return None
        scores, labels = zip(*(rows[image] for image in target.images), strict=True)
        return TargetScores(target, np.stack(scores), np.stack(labels))

    def keep(self, found: TargetScores, banks: Banks) -> TargetScores:
        """Remember a target's logits, and return them."""
        rows = self._rows.setdefault(_texts(found.target, banks), {})
        rows |= dict(
            zip(found.target.images, zip(found.scores, found.labels, strict=True), strict=True)
        )
        return found


def _texts(target: Target, banks: Banks) -> object:
    """Return a key that is equal for targets with the same classes and texts."""
    return id(banks.select(target.dataset, target.domain, target.classes).bank), target.classes


def target_row(
    found: TargetScores, threshold: float, trained: NDArray[np.bool_], params: MultiLabelParams
) -> dict[str, Any]:
    """Return a row of targets.csv.

    Parameters
    ----------
    threshold : float
        Probability chosen from the clients' counts.
    trained : ndarray of bool, shape [K]
        Which of the target's classes were trained on.
    """
    target, form = found.target, params.average_precision
    thresholds = {"": log_odds(_HALF), "_val": log_odds(threshold)}
    row: dict[str, Any] = {
        "fold": target.fold,
        "group": target.group,
        "name": target.name,
        "dataset": target.dataset,
        "domain": target.domain or "",
        "threshold": threshold,
    }
    row |= multilabel_metrics(found.scores, found.labels, thresholds, form)
    if params.best_on_test:
        row |= best_on_test(found.scores, found.labels)
    precisions = average_precisions(found.scores, found.labels, form)
    row["map"] = mean_average_precision(precisions, params.empty_class)
    if target.group == "gzsl" and trained.any() and not trained.all():
        parts = generalised_metrics(found.scores, found.labels, trained, form)
        row |= {name: parts[name] for name in ("map_seen", "map_unseen", "h")}
    return row | {name: int(row[name]) for name in ("scored", "classes", "images")}


def _tables(
    targets: tuple[Target, ...], load_images: LoadImages, method: Method, batch_size: int
) -> EvaluationImages:
    return EvaluationImages(targets, load_images, method.backbone, batch_size, method.head)


def _validation(
    partition: Partition,
    fold: str,
    method: Method,
    banks: Banks,
    load_images: LoadImages,
    batch_size: int,
) -> Iterator[TargetScores]:
    """Yield the scores of each client's validation images, with what the client knows of them."""
    clients = [client for client in partition.clients_of(fold) if client.validation]
    targets = tuple(_validation_target(client) for client in clients)
    images = _tables(targets, load_images, method, batch_size)
    for client, target in zip(clients, targets, strict=True):
        classes = banks.select(target.dataset, target.domain, target.classes)
        found = score_target(method, target, classes, images, batch_size)
        if client.annotations:
            known = read_annotations(client.annotations[len(client.train) :])
            found = TargetScores(target, found.scores, known)
        yield found


def _validation_target(client: Client) -> Target:
    return Target(
        client.id,
        client.fold,
        VALIDATION,
        client.dataset,
        client.domain,
        client.classes,
        client.validation,
    )


def _threshold(validated: list[TargetScores]) -> float:
    """Return the probability with the best OF1 over all clients' counts; 0.5 without images."""
    logits = [log_odds(probability) for probability in THRESHOLDS]
    # Datasets have different classes, so numbers are first added up over classes.
    counts = [_over_classes(counts_at(part.scores, part.labels, logits)) for part in validated]
    if not counts:
        return _HALF
    total = counts[0]
    for more in counts[1:]:
        total = total + more
    return best_threshold(total, THRESHOLDS)


def _over_classes(counts: Counts) -> Counts:
    """Return the sums over classes, [T, K] → [T, 1]."""
    return Counts(
        counts.hits.sum(axis=-1, keepdims=True),
        counts.predicted.sum(axis=-1, keepdims=True),
        counts.positives.sum(axis=-1, keepdims=True),
    )
