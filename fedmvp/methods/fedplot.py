"""FedPLOT: several contexts matched to the image's tokens by transport (docs/method.md#fedplot).

Shapes: B images, K classes, M image tokens, N contexts of n tokens, d text width, e joint
embedding.
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from fedmvp.clip.backbone import Backbone
from fedmvp.config import Float
from fedmvp.methods.base import Method, MethodParams
from fedmvp.methods.classes import ClassSet
from fedmvp.methods.text_prompts import ChunkParams, PromptTexts, TextMemory, gaussian
from fedmvp.methods.transport import matched, patch_features, transport_plan

__all__ = ["FedPLOT", "FedPLOTParams"]


class FedPLOTParams(ChunkParams):
    """``methods.fedplot`` of params.yaml."""

    n_prompts: int = Field(default=4, ge=1, description="N, contexts of every class.")
    n_context: int = Field(default=16, ge=1, description="n, tokens of a context.")
    epsilon: Float = Field(default=0.1, gt=0, description="Entropy weight of the transport.")
    iterations: int = Field(default=100, ge=1, description="Most Sinkhorn iterations.")
    threshold: Float = Field(default=1e-2, ge=0, description="Change at which scaling stops.")
    memory_budget_mib: Float = Field(
        default=512.0, gt=0, description="Memory of one transport of (image, class) pairs, MiB."
    )


class FedPLOT(Method):
    """logit_k = s · Σ T ⊙ sim over image tokens and N prompts; learned with CE, all sent."""

    Params: ClassVar[type[MethodParams]] = FedPLOTParams
    many_labels: ClassVar[bool] = False
    params: FedPLOTParams

    def __init__(self, backbone: Backbone, params: FedPLOTParams, seed: int) -> None:
        super().__init__(backbone, params, seed)
        self.texts = PromptTexts(backbone, params.n_context, chunk=params.text_chunk)
        self.memory = TextMemory(backbone.shortcuts.texts_once)
        shape = params.n_prompts, params.n_context, backbone.spec.text.width
        self.contexts = gaussian(*shape, generator=self.generator("contexts"))

    def text_features(self, classes: ClassSet) -> Tensor:
        """Return the features of each class, [K, N, e]."""
        return self.memory(
            self.texts.texts(classes),
            [self.contexts],
            lambda: torch.stack([self.texts.encode(classes, one) for one in self.contexts], dim=1),
        )

    def logits(self, images: Tensor, classes: ClassSet) -> Tensor:
        """Return class scores, [B, 3, S, S] → [B, K]."""
        plan = partial(
            transport_plan,
            epsilon=self.params.epsilon,
            mass=1.0,
            partial=False,
            iterations=self.params.iterations,
            threshold=self.params.threshold,
        )
        tokens, texts = patch_features(self.backbone, images), self.text_features(classes)
        return self.backbone.scale * matched(tokens, texts, plan, self.params.memory_budget_mib)
