"""Zero-shot CLIP with an ensemble of templates (docs/method.md#zero-shot)."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from fedmvp.methods.base import MethodParams
from fedmvp.methods.classes import ClassSet
from fedmvp.methods.fixed_texts import CLIP_TEMPLATES, Template, ensemble_features
from fedmvp.methods.frozen_image import PromptedTextMethod

__all__ = ["ZeroShotEnsemble", "ZeroShotEnsembleParams"]


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
