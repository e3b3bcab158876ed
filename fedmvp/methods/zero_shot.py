"""Zero-shot CLIP by templates, attribute sentences, or both (docs/method.md#zero-shot).

The last two are FedMVP without its visual prompts, so they separate the gain from the texts
from the gain from the prompts.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from fedmvp.config import Float
from fedmvp.methods.base import MethodParams
from fedmvp.methods.classes import ClassSet
from fedmvp.methods.fixed_texts import (
    CLIP_TEMPLATES,
    Template,
    ensemble_features,
    template_and_attributes,
)
from fedmvp.methods.frozen_image import PromptedTextMethod

__all__ = [
    "ZeroShot",
    "ZeroShotAttributes",
    "ZeroShotCombined",
    "ZeroShotCombinedParams",
    "ZeroShotEnsemble",
    "ZeroShotEnsembleParams",
]


class ZeroShot(PromptedTextMethod):
    """logit_k = s · cos(v, t_k), one text per class."""

    trained: ClassVar[bool] = False

    def text_features(self, classes: ClassSet) -> Tensor:
        """Return the feature of each class in the dataset's template, [K, e]."""
        return classes.single("template")


class ZeroShotEnsembleParams(MethodParams):
    """``methods.zero_shot_ensemble`` of params.yaml; the defaults are CLIP's seven selected."""

    templates: tuple[Template, ...] = Field(default=CLIP_TEMPLATES, min_length=1)


class ZeroShotEnsemble(PromptedTextMethod):
    """logit_k = s · cos(v, Σ_j t_kj): the mean of the templates' features, renormalised."""

    Params: ClassVar[type[MethodParams]] = ZeroShotEnsembleParams
    trained: ClassVar[bool] = False
    params: ZeroShotEnsembleParams

    def text_features(self, classes: ClassSet) -> Tensor:
        """Return the renormalised mean of each class's template features, [K, e]."""
        return ensemble_features(classes, self.params.templates)


class ZeroShotAttributes(PromptedTextMethod):
    """logit_k = s · mean_j cos(v, T_kj) over the class's attribute sentences."""

    trained: ClassVar[bool] = False

    def text_features(self, classes: ClassSet) -> Tensor:
        """Return the mean of each class's sentence features, not renormalised, [K, e]."""
        return classes.features("sentences").mean


class ZeroShotCombinedParams(MethodParams):
    """``methods.zero_shot_combined`` of params.yaml."""

    attributes_weight: Float = Field(
        default=0.5, ge=0, description="w, weight of the sentences relative to the template."
    )


class ZeroShotCombined(PromptedTextMethod):
    """logit_k = s · (cos(v, t_k) + w · mean_j cos(v, T_kj)) / (1 + w)."""

    Params: ClassVar[type[MethodParams]] = ZeroShotCombinedParams
    trained: ClassVar[bool] = False
    params: ZeroShotCombinedParams

    def text_features(self, classes: ClassSet) -> Tensor:
        """Return the weighted mean of the template's and the mean sentence feature, [K, e]."""
        weight = self.params.attributes_weight
        return template_and_attributes(classes, classes.features("sentences"), weight)
