"""Fed-DualCoOp: a positive and a negative context, over regions (docs/method.md#fed-dualcoop).

DualCoOp (arXiv 2206.09541) recognises many labels with two learned prompts per class, one for its
presence and one for its absence, compared with the regions of the image. Here all classes share
both contexts, so that untrained classes have both texts, too. For images of one class, the same
score is a logit of the cross-entropy.

Shapes: B images, K classes, R regions, n context tokens, d text width, e joint embedding.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from fedmvp.clip.backbone import Backbone
from fedmvp.config import Float
from fedmvp.methods.base import Method, MethodParams
from fedmvp.methods.classes import ClassSet
from fedmvp.methods.text_prompts import ChunkParams, PromptTexts, TextMemory, gaussian
from fedmvp.methods.transport import patch_features

__all__ = ["FedDualCoOp", "FedDualCoOpParams"]


class FedDualCoOpParams(ChunkParams):
    """``methods.fed_dualcoop`` of params.yaml."""

    n_context: int = Field(default=16, ge=1, description="n, tokens of each of the two contexts.")
    region_scale: Float = Field(
        default=20.0, gt=0, description="Sharpness of the weights over regions."
    )


class FedDualCoOp(Method):
    """score_k = s · Σ_r w_rk (cos(f_r, t⁺_k) - cos(f_r, t⁻_k)), w = softmax over r of τ cos⁺."""

    Params: ClassVar[type[MethodParams]] = FedDualCoOpParams
    one_text: ClassVar[bool] = False
    params: FedDualCoOpParams

    def __init__(self, backbone: Backbone, params: FedDualCoOpParams, seed: int) -> None:
        super().__init__(backbone, params, seed)
        self.texts = PromptTexts(backbone, params.n_context, chunk=params.text_chunk)
        once = backbone.shortcuts.texts_once
        self.positive_memory, self.negative_memory = TextMemory(once), TextMemory(once)
        shape = params.n_context, backbone.spec.text.width
        self.positive_context = gaussian(*shape, generator=self.generator("positive_context"))
        self.negative_context = gaussian(*shape, generator=self.generator("negative_context"))

    def logits(self, images: Tensor, classes: ClassSet) -> Tensor:
        """Return class scores, [B, 3, S, S] → [B, K]; the tower is frozen."""
        regions = patch_features(self.backbone, images)  # [B, R, e]
        shown = self.texts.remembered(self.positive_memory, classes, self.positive_context)
        absent = self.texts.remembered(self.negative_memory, classes, self.negative_context)
        positive, negative = regions @ shown.T, regions @ absent.T  # [B, R, K]
        # Both are weighted by the positive text: by the regions most similar to the class.
        weights = torch.softmax(self.params.region_scale * positive, dim=1)
        return self.backbone.scale * (weights * (positive - negative)).sum(dim=1)
