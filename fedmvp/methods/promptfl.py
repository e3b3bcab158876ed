"""PromptFL, also FedCoOp: one learned context for all classes (docs/method.md#promptfl).

Shapes: K classes, n context tokens, d text width, e joint embedding.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from fedmvp.clip.backbone import Backbone
from fedmvp.methods.base import MethodParams
from fedmvp.methods.classes import ClassSet
from fedmvp.methods.frozen_image import PromptedTextMethod
from fedmvp.methods.text_prompts import (
    ChunkParams,
    ContextParams,
    PromptTexts,
    TextMemory,
    initial_context,
)

__all__ = ["PromptFL", "PromptFLParams"]


class PromptFLParams(ContextParams, ChunkParams):
    """``methods.promptfl`` of params.yaml."""


class PromptFL(PromptedTextMethod):
    """t_k = E_t([SOS; ctx; class .]); the context is learned with cross-entropy and sent."""

    Params: ClassVar[type[MethodParams]] = PromptFLParams
    params: PromptFLParams

    def __init__(self, backbone: Backbone, params: PromptFLParams, seed: int) -> None:
        super().__init__(backbone, params, seed)
        self.texts = PromptTexts(
            backbone, params.n_context, opening=params.context_init, chunk=params.text_chunk
        )
        self.memory = TextMemory(backbone.shortcuts.texts_once)
        self.context = initial_context(backbone, params, self.generator("context"))

    def text_features(self, classes: ClassSet) -> Tensor:
        """Return the feature of each class, [K, e]."""
        return self.texts.remembered(self.memory, classes, self.context)
