"""FedKgCoOp: PromptFL with texts kept close to the template's (docs/method.md#fedkgcoop).

Shapes: B images, K classes, e joint embedding.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from fedmvp.config import Float
from fedmvp.methods.base import Batch, Loss, MethodParams
from fedmvp.methods.classes import ClassSet
from fedmvp.methods.frozen_image import frozen_batch
from fedmvp.methods.promptfl import PromptFL, PromptFLParams

__all__ = ["FedKgCoOp", "FedKgCoOpParams"]


class FedKgCoOpParams(PromptFLParams):
    """``methods.fedkgcoop`` of params.yaml."""

    knowledge_weight: Float = Field(default=8.0, ge=0, description="lambda of the distance.")


class FedKgCoOp(PromptFL):
    """L = L_ce + lambda · L_con, L_con = 1 - mean_k cos(t_k, t_k^template)."""

    Params: ClassVar[type[MethodParams]] = FedKgCoOpParams
    params: FedKgCoOpParams

    def loss(self, batch: Batch, classes: ClassSet) -> Loss:
        """Return the head's loss plus the weighted distance to the template's features."""
        texts = self.text_features(classes)
        logits = self.backbone.scale * frozen_batch(batch) @ self.head.texts(texts, classes).T
        classification = self.head.loss(logits, batch.labels)
        distance = 1 - (texts * classes.single("template")).sum(dim=-1).mean()
        total = classification + self.params.knowledge_weight * distance
        return Loss(total, logits, {"loss_ce": classification, "loss_con": distance})
