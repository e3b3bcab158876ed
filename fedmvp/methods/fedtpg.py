"""FedTPG: a network that generates the context from the class names (docs/method.md#fedtpg).

Shapes: K classes, n context tokens, D prompted blocks, d text width, e joint embedding.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor, nn

from fedmvp.clip.backbone import Backbone
from fedmvp.methods.base import MethodParams
from fedmvp.methods.classes import ClassSet
from fedmvp.methods.cross_attention import CrossAttention, GatedFeedForward, Linear
from fedmvp.methods.frozen_image import PromptedTextMethod
from fedmvp.methods.text_prompts import ChunkParams, PromptTexts, TextMemory, gaussian

__all__ = ["FedTPG", "FedTPGParams"]


class FedTPGParams(ChunkParams):
    """``methods.fedtpg`` of params.yaml."""

    n_context: int = Field(default=4, ge=1, description="n, context tokens.")
    depth: int = Field(default=1, ge=1, description="D, text blocks with their own context.")
    heads: int = Field(default=4, ge=1, description="Heads of the cross-attention.")


class FedTPG(PromptedTextMethod):
    """Learned queries attend over bare class names; G[0] is the context of every class.

    Where the joint embedding is as wide as the text tower, as in every model the method was
    published with, class-name features are used directly as keys and values; otherwise a learned
    linear map brings them to the text width. With depth above one, G[i] replaces the context
    before block i (the published code starts at block 0 and so overwrites G[0]).
    """

    Params: ClassVar[type[MethodParams]] = FedTPGParams
    params: FedTPGParams

    def __init__(self, backbone: Backbone, params: FedTPGParams, seed: int) -> None:
        super().__init__(backbone, params, seed)
        text, embed_dim = backbone.spec.text, backbone.spec.embed_dim
        if params.depth > text.layers:
            raise ValueError(
                f"depth {params.depth} is more than the text tower's {text.layers} blocks"
            )
        self.texts = PromptTexts(backbone, params.n_context, chunk=params.text_chunk)
        self.memory = TextMemory(backbone.shortcuts.texts_once)
        generator = self.generator("prompt generator")
        self.soft_prompt = gaussian(
            params.depth * params.n_context, text.width, generator=generator
        )
        self.attention = CrossAttention(
            text.width, params.heads, generator, value_norm=True, linear=backbone.linear
        )
        self.feed_forward = GatedFeedForward(text.width, generator, backbone.linear)
        self.project: nn.Module = (
            nn.Identity() if embed_dim == text.width else Linear(embed_dim, text.width, generator)
        )

    def context(self, classes: ClassSet) -> Tensor:
        """Return the context generated from the class names, [D, n, d]."""
        names = self.project(classes.single("names"))
        generated = self.feed_forward(self.attention(self.soft_prompt, names))
        return generated.unflatten(0, (self.params.depth, -1))  # type: ignore[no-any-return]

    def _encode(self, classes: ClassSet) -> Tensor:
        first, *others = self.context(classes)
        return self.texts.encode(classes, first, dict(enumerate(others, start=1)))

    def text_features(self, classes: ClassSet) -> Tensor:
        """Return the feature of each class, [K, e]."""
        return self.memory(
            self.texts.texts(classes), list(self.parameters()), lambda: self._encode(classes)
        )
