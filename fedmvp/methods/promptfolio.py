"""PromptFolio: a portfolio of a shared and a personal context (docs/method.md#promptfolio).

Shapes: K classes, n context tokens, d text width, e joint embedding.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from fedmvp.clip.backbone import Backbone
from fedmvp.config import Float
from fedmvp.methods.base import MethodParams
from fedmvp.methods.classes import ClassSet
from fedmvp.methods.frozen_image import PromptedTextMethod
from fedmvp.methods.text_prompts import ChunkParams, PromptTexts, TextMemory, gaussian

__all__ = ["PromptFolio", "PromptFolioParams"]


class PromptFolioParams(ChunkParams):
    """``methods.promptfolio`` of params.yaml."""

    n_context: int = Field(default=16, ge=1, description="n, tokens of each of the two contexts.")
    local_share: Float = Field(
        default=0.4, ge=0, le=1, description="theta, weight of the personal texts; 0: PromptFL."
    )


class PromptFolio(PromptedTextMethod):
    """t_k = (1 - θ) t_k^shared + θ t_k^personal, not normalised again; CE; the shared one sent."""

    Params: ClassVar[type[MethodParams]] = PromptFolioParams
    many_labels: ClassVar[bool] = False
    personal: ClassVar[bool] = True
    params: PromptFolioParams

    def __init__(self, backbone: Backbone, params: PromptFolioParams, seed: int) -> None:
        super().__init__(backbone, params, seed)
        self.texts = PromptTexts(backbone, params.n_context, chunk=params.text_chunk)
        once = backbone.shortcuts.texts_once
        self.global_memory, self.local_memory = TextMemory(once), TextMemory(once)
        shape = params.n_context, backbone.spec.text.width
        self.global_context = gaussian(*shape, generator=self.generator("global_context"))
        self.local_context = gaussian(*shape, generator=self.generator("local_context"))
        self.global_only = False

    def communicated(self, phase: str) -> list[str]:
        """Return the shared context, which alone is sent."""
        return ["global_context"]

    def enter(self, phase: str | None) -> None:
        """Mix both as a client, use only the shared one as the server."""
        self.global_only = phase is None

    def text_features(self, classes: ClassSet) -> Tensor:
        """Return the mixed feature of each class, [K, e]; its length is 1 where both are equal."""
        shared = self.texts.remembered(self.global_memory, classes, self.global_context)
        if self.global_only:
            return shared
        own = self.texts.remembered(self.local_memory, classes, self.local_context)
        return (1 - self.params.local_share) * shared + self.params.local_share * own
