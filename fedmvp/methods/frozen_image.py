"""Base of methods that do not change the image tower's output features but learn something else.

Their image features never change, so a client computes them once and keeps them: a training step
does not run the image tower.

Shapes: B images, K classes, e joint embedding.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from fedmvp.methods.base import Batch, Loss, Method
from fedmvp.methods.classes import ClassSet

__all__ = ["FrozenImageMethod", "PromptedTextMethod", "frozen_batch"]


def frozen_batch(batch: Batch) -> Tensor:
    """Return the frozen features of a batch's images without augmentation, [B, e]."""
    return batch.frozen(torch.zeros(len(batch.images), dtype=torch.bool))


class FrozenImageMethod(Method):
    """A method whose logits are a function of the frozen L2-normalised image features."""

    @abstractmethod
    def scores(self, features: Tensor, classes: ClassSet) -> Tensor:
        """Return class scores of frozen image features, [B, e] → [B, K]."""

    def logits(self, images: Tensor, classes: ClassSet) -> Tensor:
        """Return class scores, [B, 3, S, S] → [B, K]."""
        return self.scores(self.backbone.frozen_features([images]), classes)

    def loss(self, batch: Batch, classes: ClassSet) -> Loss:
        """Return the head's loss over the client's classes."""
        logits = self.scores(frozen_batch(batch), classes)
        loss = self.head.loss(logits, batch.labels)
        return Loss(loss, logits, {"loss_ce": loss})


class PromptedTextMethod(FrozenImageMethod):
    """A method that learns the text side: one feature per class, logit_k = s · cos(v, t_k)."""

    @abstractmethod
    def text_features(self, classes: ClassSet) -> Tensor:
        """Return the feature of each class, [K, e]: L2-normalised, or a mean of such."""

    def scores(self, features: Tensor, classes: ClassSet) -> Tensor:
        """Return s · cos(v, t_k), [B, e] → [B, K]."""
        return (
            self.backbone.scale * features @ self.head.texts(self.text_features(classes), classes).T
        )
