"""FedMaPLe: text prompts in several blocks and, coupled, visual ones (docs/method.md#fedmaple).

This is MaPLe itself; the vision-language baseline of the FedTPG repository is `fedvlp`.

Shapes: B images, K classes, n prompts, J prompted blocks, d_t text and d_v vision width, e joint
embedding.
"""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from fedmvp.clip.backbone import Backbone
from fedmvp.methods.base import Method, MethodParams
from fedmvp.methods.classes import ClassSet
from fedmvp.methods.cross_attention import Linear
from fedmvp.methods.text_prompts import (
    ChunkParams,
    ContextParams,
    PromptTexts,
    TextMemory,
    gaussian,
    initial_context,
)

__all__ = ["FedMaPLe", "FedMaPLeParams"]


class FedMaPLeParams(ContextParams, ChunkParams):
    """``methods.fedmaple`` of params.yaml."""

    n_context: int = Field(default=2, ge=1, description="n, prompts per block of both towers.")
    context_init: str | None = Field(
        default="a photo of a",
        description="Words the texts begin with; the first n tokens are learned, the rest stay. "
        "null: n random ones.",
    )
    depth: int = Field(
        default=9, ge=1, description="J, prompted blocks; at most those of the shallower tower."
    )


class FedMaPLe(Method):
    """Text prompts c_0 … c_{J-1}, visual prompts F_i(c_i); learned with CE, all sent."""

    Params: ClassVar[type[MethodParams]] = FedMaPLeParams
    params: FedMaPLeParams

    def __init__(self, backbone: Backbone, params: FedMaPLeParams, seed: int) -> None:
        super().__init__(backbone, params, seed)
        spec = backbone.spec
        self.texts = PromptTexts(
            backbone, params.n_context, opening=params.context_init, chunk=params.text_chunk
        )
        self.memory = TextMemory(backbone.shortcuts.texts_once)
        depth = min(params.depth, spec.text.layers, spec.vision.layers)
        self.context = initial_context(backbone, params, self.generator("context"))
        self.deep = gaussian(
            depth - 1, params.n_context, spec.text.width, generator=self.generator("deep")
        )

        def coupler(purpose: str) -> Linear:
            return Linear(spec.text.width, spec.vision.width, self.generator(purpose))

        # All couplers but the first have the same initial values.
        self.couplers = nn.ModuleList(
            [coupler("coupler"), *(coupler("deep coupler") for _ in range(depth - 1))]
        )

    def text_features(self, classes: ClassSet) -> Tensor:
        """Return the feature of each class, [K, e]."""
        deep = {block: prompts for block, prompts in enumerate(self.deep, start=1)}
        return self.memory(
            self.texts.texts(classes),
            [self.context, self.deep],
            lambda: self.texts.encode(classes, self.context, deep),
        )

    def visual_prompts(self) -> list[Tensor]:
        """Return F_i(c_i) of every prompted block, each [1, n, d_v]."""
        texts = [self.context, *self.deep]
        return [couple(text)[None] for couple, text in zip(self.couplers, texts, strict=True)]

    def logits(self, images: Tensor, classes: ClassSet) -> Tensor:
        """Return s · cos(v, t_k), [B, 3, S, S] → [B, K]."""
        tower = self.backbone.vision
        first, *others = self.visual_prompts()
        with self.backbone.autocast():
            features = tower(tower.embed(images), first, deep=dict(enumerate(others, start=1)))
        texts = self.head.texts(self.text_features(classes), classes)
        return self.backbone.scale * F.normalize(features.float(), dim=-1) @ texts.T
