"""FedCLIP: a gate on the image feature (docs/method.md#fedclip).

Shapes: B images, K classes, e joint embedding.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from fedmvp.clip.backbone import Backbone
from fedmvp.methods.base import Batch, Loss, Method, MethodParams
from fedmvp.methods.classes import ClassSet
from fedmvp.methods.cross_attention import Linear
from fedmvp.methods.fixed_texts import Template, template_features

__all__ = ["FedCLIP", "FedCLIPParams"]


class FedCLIPParams(MethodParams):
    """``methods.fedclip`` of params.yaml."""

    loss: Literal["contrastive", "ce"] = Field(
        default="contrastive",
        description="Contrast of the batch's images with the texts of their labels, in both "
        "directions (original); or cross-entropy over the client's classes.",
    )
    template: Template | None = Field(
        default="a picture of a {}.", description="Template of class texts; null: the dataset's."
    )


class Gate(nn.Module):
    """g(f) = softmax(W_2 tanh(W_1 f + b_1) + b_2) over the feature's entries."""

    def __init__(self, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.hidden = Linear(width, width, generator)
        self.output = Linear(width, width, generator)

    def forward(self, features: Tensor) -> Tensor:
        """[B, e] → [B, e], rows summing to one."""
        return self.output(self.hidden(features).tanh()).softmax(dim=-1)  # type: ignore[no-any-return]


class FedCLIP(Method):
    """v̂ = g(f) ⊙ f normalised, f the un-normalised image feature; the gate is learned and sent."""

    Params: ClassVar[type[MethodParams]] = FedCLIPParams
    params: FedCLIPParams

    def __init__(self, backbone: Backbone, params: FedCLIPParams, seed: int) -> None:
        super().__init__(backbone, params, seed)
        self.gate = Gate(backbone.spec.embed_dim, self.generator("gate"))

    def _features(self, images: Tensor) -> Tensor:
        """Return v̂, [B, 3, S, S] → [B, e]."""
        tower = self.backbone.vision
        with torch.no_grad(), self.backbone.autocast():
            features = tower(tower.embed(images)).float()
        return F.normalize(self.gate(features) * features, dim=-1)

    def logits(self, images: Tensor, classes: ClassSet) -> Tensor:
        """Return s · cos(v̂, t_k), [B, 3, S, S] → [B, K]."""
        texts = self.head.texts(template_features(classes, self.params.template), classes)
        return self.backbone.scale * self._features(images) @ texts.T

    def loss(self, batch: Batch, classes: ClassSet) -> Loss:
        """Return the chosen loss.

        The contrastive one treats images of the same class as each other's negatives, as the
        original does, and is zero for a batch of one image, which the original leaves out. An image
        with many labels has no single text, so the head's loss is used instead.
        """
        logits = self.logits(batch.images, classes)
        if self.params.loss == "ce" or self.head.many_labels:
            loss = self.head.loss(logits, batch.labels)
        else:
            pairs = logits[:, batch.labels]  # [B, B]: image b against the text of label b'
            own = torch.arange(len(pairs), device=pairs.device)
            loss = (F.cross_entropy(pairs, own) + F.cross_entropy(pairs.T, own)) / 2
        return Loss(loss, logits, {"loss_ce": loss})
