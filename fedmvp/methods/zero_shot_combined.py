"""Zero-shot CLIP with the hand template and the attribute sentences together.

It is FedMVP with ``classifier: template_and_attributes`` less its visual prompts, so it separates
the gain of the texts from theirs.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from fedmvp.config import Float
from fedmvp.methods.base import MethodParams
from fedmvp.methods.classes import ClassSet
from fedmvp.methods.fixed_texts import template_and_attributes
from fedmvp.methods.frozen_image import PromptedTextMethod

__all__ = ["ZeroShotCombined", "ZeroShotCombinedParams"]


class ZeroShotCombinedParams(MethodParams):
    """``methods.zero_shot_combined`` of params.yaml."""

    attributes_weight: Float = Field(
        default=0.5, ge=0, description="w of the sentences beside the template."
    )


class ZeroShotCombined(PromptedTextMethod):
    """logit_k = s · (cos(v, t_k) + w · mean_j cos(v, T_kj)) / (1 + w)."""

    Params: ClassVar[type[MethodParams]] = ZeroShotCombinedParams
    trained: ClassVar[bool] = False
    params: ZeroShotCombinedParams

    def text_features(self, classes: ClassSet) -> Tensor:
        """Return the weighted mean of template and mean sentence feature, [K, e]."""
        weight = self.params.attributes_weight
        return template_and_attributes(classes, classes.features("sentences"), weight)
