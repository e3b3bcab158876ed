"""Evaluating a method on a partition's targets.

In each target, some images are classified among some classes. The last round's global model is
used; nothing is selected on test data (docs/method.md#rounds, #metrics).

Shapes: B images of a batch, K classes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedmvp.data.image_source import LoadImages
from fedmvp.errors import DataError
from fedmvp.evaluation.images import EvaluationImages, TargetImages
from fedmvp.methods.banks import Banks
from fedmvp.methods.base import Method
from fedmvp.methods.classes import ClassSet
from fedmvp.methods.frozen_image import FrozenImageMethod
from fedmvp.partition.model import Partition, Target
from fedmvp.results.predictions import TargetPredictions

__all__ = ["batch_scores", "classify", "evaluate"]


def evaluate(
    partition: Partition,
    method: Method,
    load_fold: Callable[[str], None],
    banks: Banks,
    load_images: LoadImages,
    *,
    batch_size: int,
    load_personal: Callable[[str, str], None] | None = None,
    record: Callable[[TargetPredictions], None] | None = None,
    keep_scores: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[dict[str, Any]]:
    """Return one row per target: its description and its top-1 accuracy, a fraction.

    Parameters
    ----------
    load_fold : callable
        Puts a fold's tensors into the method.
    load_personal : callable, optional
        Puts the tensors of (fold, client) into a personal method. Local targets, which are named
        after their clients, are then classified by these clients' models; every other target, by
        the global model.
    record : callable, optional
        Called for each target, in the order of the rows, with the predicted class of each image.
    keep_scores : bool, default=False
        Whether `record` also gets the scores of all classes.

    Raises
    ------
    DataError
        When scores are not finite, or an image shows none of its target's classes.
    """
    rows: list[dict[str, Any]] = []
    images = EvaluationImages(
        partition.targets, load_images, method.backbone, batch_size, method.head
    )
    for fold in partition.folds:
        load_fold(fold)
        for target in partition.targets_of(fold):
            method.enter(None)
            if method.personal and target.group == "local" and load_personal:
                load_personal(fold, target.name)
                method.enter(method.first_phase)
            found = classify(method, target, banks, images, batch_size, keep_scores)
            rows.append(
                {
                    "fold": fold,
                    "group": target.group,
                    "name": target.name,
                    "dataset": target.dataset,
                    "domain": target.domain or "",
                    "classes": len(target.classes),
                    "images": len(target.images),
                    "accuracy": found.correct / len(target.images),
                }
            )
            if record:
                record(found)
            if progress:
                progress(len(rows), len(partition.targets))
    return rows


def classify(
    method: Method,
    target: Target,
    banks: Banks,
    images: EvaluationImages,
    batch_size: int,
    keep_scores: bool = False,
) -> TargetPredictions:
    """Return the predictions of the method, with its present tensors, for a target's images.

    Raises
    ------
    DataError
        See `evaluate`.
    """
    classes = banks.select(target.dataset, target.domain, target.classes)
    chosen = images(target)
    kept: list[NDArray[np.float32]] = []

    def guesses() -> Iterator[Tensor]:
        for scores in batch_scores(method, chosen, classes, images, batch_size):
            if keep_scores:
                kept.append(scores.float().cpu().numpy())
            yield _best(scores)

    predicted = np.concatenate([_read(guess, method) for guess in _one_behind(guesses())])
    labels = chosen.labels.astype(np.int64)
    return TargetPredictions(target, labels, predicted, np.concatenate(kept) if kept else None)


def _best(scores: Tensor) -> Tensor:
    """Return the best class of each image, [B, K] → [B]; -1 if scores are not finite."""
    return scores.argmax(dim=1).where(scores.isfinite().all(dim=1), -1)


def _one_behind(guesses: Iterator[Tensor]) -> Iterator[Tensor]:
    """Yield each batch after starting the next, so that a GPU has work while one is read."""
    waiting: deque[Tensor] = deque()
    for guess in guesses:
        waiting.append(guess)
        if len(waiting) > 1:
            yield waiting.popleft()
    yield from waiting


def _read(predicted: Tensor, method: Method) -> NDArray[np.int64]:
    """Return the classes of a batch from the device, [B]."""
    numbers: NDArray[np.int64] = predicted.cpu().numpy()
    if (numbers < 0).any():
        raise DataError(
            "scores are not finite",
            where=f"method {type(method).__name__}",
            hint="the learned tensors are damaged; train again",
        )
    return numbers


def batch_scores(
    method: Method,
    chosen: TargetImages,
    classes: ClassSet,
    images: EvaluationImages,
    batch_size: int,
) -> Iterator[Tensor]:
    """Yield the head's logits of a target's images, batch by batch, [B, K]."""
    backbone, head = method.backbone, method.head
    for rows in chosen.batches(batch_size):
        with torch.no_grad():
            if isinstance(method, FrozenImageMethod):
                views = images.features(chosen.dataset)[head.rows(torch.from_numpy(rows))]
                scores = method.scores(views.to(backbone.device), classes)
            else:
                pixels = backbone.normalise(chosen.pixels[rows])
                scores = method.logits(head.views(pixels), classes)
            yield head.pool(scores)
