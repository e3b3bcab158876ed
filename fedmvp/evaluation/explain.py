"""The attributes a method's cross-attention attends to, and its prompts, for a few images.

Shapes: b patches, n bank texts, m prompts, d vision width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from fedmvp.data.image_source import LoadImages
from fedmvp.evaluation.attended import candidate_classes, trained_classes
from fedmvp.evaluation.images import EvaluationImages
from fedmvp.methods.banks import Banks
from fedmvp.methods.base import Method
from fedmvp.methods.classes import ClassSet
from fedmvp.partition.model import Partition

__all__ = ["Explanation", "explain"]


@dataclass(frozen=True)
class Explanation:
    """Entries of explain.json, and the visual prompts [m, d] of the same images by id."""

    images: list[dict[str, Any]] = field(default_factory=list)
    prompts: dict[str, Tensor] = field(default_factory=dict)


@torch.no_grad()
def explain(
    partition: Partition,
    method: Method,
    load_fold: Callable[[str], None],
    banks: Banks,
    load_images: LoadImages,
    *,
    images: int,
    attributes: int = 3,
) -> Explanation:
    """Record attention and prompts of the method on a few test images.

    Images are taken in turn from the first fold's targets that are neither local nor source, at
    fixed places in their lists; of the bank, the `attributes` texts with the strongest single
    patch. Methods without cross-attention give no entries; those without per-image prompts no
    prompts.
    """
    fold = partition.folds[0]
    load_fold(fold)
    method.enter(None)
    targets = [t for t in partition.targets_of(fold) if t.group not in ("local", "source")]
    # Uses the tables that `evaluate` has decoded, instead of decoding single images.
    images_of = EvaluationImages(
        partition.targets, load_images, method.backbone, batch_size=1, head=method.head
    )
    explanation = Explanation()
    for number in range(images):
        target = targets[number % len(targets)]
        place = _place(number, len(targets)) % len(target.images)
        image_id = target.images[place]
        if image_id in explanation.prompts:
            continue
        classes = candidate_classes(banks, target, method.head, trained_classes(partition, target))
        chosen = images_of(target)
        pixels = method.backbone.normalise(chosen.pixels[chosen.rows[place : place + 1]])
        batch = method.head.views(pixels)
        prompts = method.prompts(batch, classes)
        if prompts is not None:
            explanation.prompts[image_id] = prompts[0].float().cpu().contiguous()
        attended = _attended(method, batch, classes, attributes)
        if attended is not None:
            scores = method.head.pool(method.logits(batch, classes))[0]
            entry = {
                "id": image_id,
                "dataset": target.dataset,
                "class": method.head.shown(chosen.labels[place], classes.names),
                "predicted": method.head.said(scores, classes.names),
            }
            grid = [side * method.head.grid for side in method.backbone.spec.vision.grid]
            explanation.images.append({**entry, "grid": grid, "attributes": attended})
    return explanation


def _place(number: int, targets: int) -> int:
    """Return a place in a target's list, spread out, as images of one class are adjacent."""
    return (number // targets) * 37 + 11 * number


def _attended(
    method: Method, batch: Tensor, classes: ClassSet, count: int
) -> list[dict[str, Any]] | None:
    """Return the attributes with the strongest single patch, with their weights per patch."""
    attention = method.explain(batch, classes)
    attended = classes.attended or classes
    texts = [text for part in attended.texts("attributes") for text in part]
    # A bank of other texts (sentences, names, random: ablations) has no attributes.
    if attention is None or attention.shape[-1] != len(texts):
        return None
    weights = method.head.stitched(attention, method.backbone.spec.vision.grid).float().cpu()
    owner = attended.features("attributes").index
    strongest = weights.amax(dim=0).argsort(descending=True, stable=True)[:count]
    return [
        {
            "class": attended.names[int(owner[i])],
            "text": texts[int(i)],
            "weights": [float(f"{float(w):.4g}") for w in weights[:, int(i)]],
        }
        for i in strongest
    ]
