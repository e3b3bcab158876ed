"""Zero-shot CLIP with the dataset's hand template (docs/method.md#zero-shot)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from fedmvp.methods.classes import ClassSet
from fedmvp.methods.frozen_image import PromptedTextMethod

__all__ = ["ZeroShot"]


class ZeroShot(PromptedTextMethod):
    """logit_k = s · cos(v, t_k), one text per class."""

    trained: ClassVar[bool] = False

    def text_features(self, classes: ClassSet) -> Tensor:
        """Return the feature of each class's hand template, [K, e]."""
        return classes.single("template")
