"""Evaluating a method on a partition's targets.

Each target is the classification of some images among some classes; the last round's global model
is used, nothing is selected on test data (facts/methods.md §1.1, §1.3).

Shapes: B images, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fedmvp.data.labelled import LoadImages
from fedmvp.errors import DataError
from fedmvp.methods.banks import TextBanks
from fedmvp.methods.base import Method
from fedmvp.methods.classes import ClassSet
from fedmvp.methods.frozen_image import FrozenImageMethod
from fedmvp.settings.partition import Partition, Target

__all__ = ["TARGET_COLUMNS", "evaluate"]

TARGET_COLUMNS = (
    "fold", "group", "name", "dataset", "domain", "classes", "images", "accuracy",
)  # fmt: skip


def evaluate(
    partition: Partition,
    method: Method,
    load_fold: Callable[[str], None],
    banks: TextBanks,
    load_images: LoadImages,
    *,
    batch_size: int,
    load_personal: Callable[[str, str], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[dict[str, Any]]:
    """Return one row per target: what it is and its top-1 accuracy, a fraction.

    Parameters
    ----------
    load_fold : callable
        Puts a fold's tensors into the method.
    load_personal : callable, optional
        Puts the tensors of (fold, client) into a personal method. Local targets, which are named
        after their clients, are then classified as those clients would; every other target sees
        the global model alone.
    """
    rows: list[dict[str, Any]] = []
    for fold in partition.folds:
        load_fold(fold)
        for target in partition.targets_of(fold):
            method.enter(None)
            if method.personal and target.group == "local" and load_personal:
                load_personal(fold, target.name)
                method.enter(method.first_phase)
            classes = banks.select(target.dataset, target.domain, target.classes)
            images, labels = load_images(target.dataset, target.images, classes.names)
            correct = 0
            for part, scores in _predict(method, target, images, classes, load_images, batch_size):
                correct += int((scores.argmax(dim=1).cpu().numpy() == labels[part]).sum())
            rows.append(
                {
                    "fold": fold,
                    "group": target.group,
                    "name": target.name,
                    "dataset": target.dataset,
                    "domain": target.domain or "",
                    "classes": len(target.classes),
                    "images": len(target.images),
                    "accuracy": correct / len(target.images),
                }
            )
            if progress:
                progress(len(rows), len(partition.targets))
    return rows


@torch.no_grad()
def _predict(
    method: Method,
    target: Target,
    images: np.ndarray,
    classes: ClassSet,
    load_images: LoadImages,
    batch_size: int,
) -> Iterator[tuple[slice, Tensor]]:
    """Yield rows and class scores of a target's images, batch by batch."""
    parts = [slice(start, start + batch_size) for start in range(0, len(images), batch_size)]
    backbone = method.backbone
    features = None
    if isinstance(method, FrozenImageMethod):
        # Such features belong to the images alone: every method, seed and setting shares them.
        key = {"images": load_images.key(target.dataset, target.images), "batch": batch_size}
        features = backbone.kept(key, lambda: backbone.frozen_features(
            backbone.normalise(images[part]) for part in parts).cpu())  # fmt: skip
    for part in parts:
        if features is not None and isinstance(method, FrozenImageMethod):
            scores = method.scores(features[part].to(backbone.device), classes)
        else:
            scores = method.logits(backbone.normalise(images[part]), classes)
        if not bool(torch.isfinite(scores).all()):
            raise DataError("scores are not finite", where=f"method {type(method).__name__}",
                            mend="the learned tensors are damaged; train again")  # fmt: skip
        yield part, scores
