"""Zero-shot CLIP with an ensemble of templates (docs/method.md#zero-shot)."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from fedmvp.methods.base import MethodParams
from fedmvp.methods.classes import ClassSet
from fedmvp.methods.fixed_texts import Template, templates_features
from fedmvp.methods.frozen_image import PromptedTextMethod

__all__ = ["ZeroShotEnsemble", "ZeroShotEnsembleParams"]

#: CoOp adds the dataset's hand template to the ensemble for every dataset but this.
_NO_OWN_TEMPLATE = "imagenet"


class ZeroShotEnsembleParams(MethodParams):
    """``methods.zero_shot_ensemble`` of params.yaml; the defaults are CLIP's seven selected."""

    templates: tuple[Template, ...] = Field(
        default=(
            "itap of a {}.",
            "a bad photo of the {}.",
            "a origami {}.",
            "a photo of the large {}.",
            "a {} in a video game.",
            "art of the {}.",
            "a photo of the small {}.",
        ),
        min_length=1,
    )


class ZeroShotEnsemble(PromptedTextMethod):
    """logit_k = s · cos(v, Σ_j t_kj): the mean of the templates' features, renormalised."""

    Params: ClassVar[type[MethodParams]] = ZeroShotEnsembleParams
    trained: ClassVar[bool] = False
    params: ZeroShotEnsembleParams

    def text_features(self, classes: ClassSet) -> Tensor:
        """Return the renormalised mean of each class's template features, [K, e]."""
        templates = self.params.templates
        if classes.bank.dataset != _NO_OWN_TEMPLATE:
            templates = (*templates, classes.bank.template)
        return F.normalize(templates_features(classes, templates).mean, dim=-1)
