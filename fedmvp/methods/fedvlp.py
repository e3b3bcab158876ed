"""FedVLP: independent text and visual prompts (docs/method.md#fedvlp).

This is the vision-language baseline of the FedTPG repository. It inserts prompts at other places
than MaPLe: text prompts overwrite tokens 1..n after positions are added, visual ones are appended
after ln_pre.

Shapes: B images, K classes, n prompts, D prompted blocks, d_t text and d_v vision width, e joint
embedding.
"""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from fedmvp.clip.backbone import Backbone
from fedmvp.methods.base import Method, MethodParams
from fedmvp.methods.classes import ClassSet
from fedmvp.methods.text_prompts import ChunkParams, PromptTexts, TextMemory, gaussian

__all__ = ["FedVLP", "FedVLPParams"]


class FedVLPParams(ChunkParams):
    """``methods.fedvlp`` of params.yaml."""

    n_context: int = Field(default=4, ge=1, description="n, prompts per block of both towers.")
    depth: int = Field(default=1, ge=1, description="D, prompted blocks of both towers.")


class FedVLP(Method):
    """Prompts of both towers that are not coupled; learned with CE, all sent."""

    Params: ClassVar[type[MethodParams]] = FedVLPParams
    params: FedVLPParams

    def __init__(self, backbone: Backbone, params: FedVLPParams, seed: int) -> None:
        super().__init__(backbone, params, seed)
        spec = backbone.spec
        blocks = min(spec.text.layers, spec.vision.layers)
        if params.depth > blocks:
            raise ValueError(
                f"depth {params.depth} is more than the {blocks} blocks both towers have"
            )
        self.texts = PromptTexts(backbone, params.n_context, chunk=params.text_chunk)
        self.memory = TextMemory(backbone.shortcuts.texts_once)
        shape = params.depth, params.n_context
        self.text_prompt = gaussian(
            *shape, spec.text.width, generator=self.generator("text_prompt")
        )
        self.visual_prompt = gaussian(
            *shape, spec.vision.width, generator=self.generator("visual_prompt")
        )

    def text_features(self, classes: ClassSet) -> Tensor:
        """Return the feature of each class, [K, e]."""
        deep = dict(enumerate(self.text_prompt))
        return self.memory(
            self.texts.texts(classes),
            [self.text_prompt],
            lambda: self.texts.encode(classes, None, deep),
        )

    def logits(self, images: Tensor, classes: ClassSet) -> Tensor:
        """Return s · cos(v, t_k), [B, 3, S, S] → [B, K]."""
        tower = self.backbone.vision
        first, *others = (prompts[None] for prompts in self.visual_prompt)
        deep = dict(enumerate(others, start=1))
        with self.backbone.autocast():
            features = tower(tower.embed(images), first, deep=deep, after_norm=True)
        texts = self.head.texts(self.text_features(classes), classes)
        return self.backbone.scale * F.normalize(features.float(), dim=-1) @ texts.T
