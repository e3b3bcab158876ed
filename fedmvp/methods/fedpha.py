"""FedPHA: clients learn a personal context besides the shared one (docs/method.md#fedpha).

Shapes: K classes, n context tokens, d text width, e joint embedding.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from fedmvp.clip.backbone import Backbone
from fedmvp.config import Float
from fedmvp.methods.base import Batch, Loss, MethodParams
from fedmvp.methods.classes import ClassSet
from fedmvp.methods.frozen_image import PromptedTextMethod, frozen_batch
from fedmvp.methods.text_prompts import ChunkParams, PromptTexts, TextMemory, gaussian

__all__ = ["FedPHA", "FedPHAParams", "push", "weak_directions"]


class FedPHAParams(ChunkParams):
    """``methods.fedpha`` of params.yaml."""

    n_context: int = Field(default=16, ge=1, description="n, tokens of each of the two contexts.")
    weak_share: Float = Field(
        default=0.8, gt=0, le=1, description="rho, share of the weakest directions that is kept."
    )
    margin: Float = Field(
        default=1.0, ge=0, description="alpha, distance to which texts are pushed apart."
    )
    pull_weight: Float = Field(
        default=1.0, ge=0, description="Weight of the distance to the projection."
    )
    push_weight: Float = Field(
        default=1.0, ge=0, description="Weight of the hinge loss on the distance."
    )


class FedPHA(PromptedTextMethod):
    """A client classifies only with its own context; the shared one is also learned, and sent."""

    Params: ClassVar[type[MethodParams]] = FedPHAParams
    many_labels: ClassVar[bool] = False
    personal: ClassVar[bool] = True
    params: FedPHAParams

    def __init__(self, backbone: Backbone, params: FedPHAParams, seed: int) -> None:
        super().__init__(backbone, params, seed)
        self.texts = PromptTexts(backbone, params.n_context, chunk=params.text_chunk)
        self.memory = TextMemory(backbone.shortcuts.texts_once)
        shape = params.n_context, backbone.spec.text.width
        self.global_context = gaussian(*shape, generator=self.generator("global_context"))
        self.local_context = gaussian(*shape, generator=self.generator("local_context"))
        self.global_only = False

    def communicated(self, phase: str) -> list[str]:
        """Return the shared context, which alone is sent."""
        return ["global_context"]

    def enter(self, phase: str | None) -> None:
        """Use the personal context as a client, the shared one as the server."""
        self.global_only = phase is None

    def text_features(self, classes: ClassSet) -> Tensor:
        """Return the feature of each class, [K, e]."""
        context = self.global_context if self.global_only else self.local_context
        return self.texts.remembered(self.memory, classes, context)

    def loss(self, batch: Batch, classes: ClassSet) -> Loss:
        """Return the sum of both contexts' cross-entropies, the pull and the push."""
        params, images = self.params, frozen_batch(batch)
        basis = weak_directions(self.global_context, params.weak_share)
        own = self.texts.encode(classes, self.local_context)
        shared = self.texts.encode(classes, self.global_context)
        projected = self.texts.encode(classes, self.local_context @ basis @ basis.T)
        logits = self.backbone.scale * images @ own.T
        cross_entropy = F.cross_entropy(logits, batch.labels)
        others = (
            F.cross_entropy(self.backbone.scale * images @ shared.T, batch.labels)
            + params.pull_weight * (own - projected).square().mean()
            + params.push_weight * push(own, shared, params.margin)
        )
        return Loss(cross_entropy + others, logits, {"loss_ce": cross_entropy, "loss_con": others})


@torch.no_grad()
def weak_directions(context: Tensor, share: float) -> Tensor:
    """Return the weakest directions inside a context's row space, [n, d] → [d, r].

    These are the right singular vectors except the first ⌊n (1 - share)⌋, without gradient, as
    equal singular values would spoil one. They do not include the null space: a context orthogonal
    to this one is projected to zero.
    """
    rows: Tensor = torch.linalg.svd(context.double(), full_matrices=False).Vh
    # Without the small term, 5 · (1 - 0.8) = 0.9999999999999998 would be rounded down to 0.
    cut = math.floor(len(context) * (1 - share) + 1e-9)
    return rows[cut:].T.to(context.dtype)


def push(own: Tensor, shared: Tensor, margin: float) -> Tensor:
    """Return mean_c max(0, α - ‖t_c - t'_c‖), [K, e] and [K, e] → scalar."""
    distances: Tensor = torch.linalg.vector_norm(own - shared, dim=-1)
    return F.relu(margin - distances).mean()
