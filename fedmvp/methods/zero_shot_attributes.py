"""Zero-shot CLIP with attribute sentences (docs/method.md#zero-shot).

It is FedMVP without its visual prompts, so it separates the gain of the text from theirs.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from fedmvp.methods.classes import ClassSet
from fedmvp.methods.frozen_image import PromptedTextMethod

__all__ = ["ZeroShotAttributes"]


class ZeroShotAttributes(PromptedTextMethod):
    """logit_k = s · mean_j cos(v, T_kj) over the class's attribute sentences."""

    trained: ClassVar[bool] = False

    def text_features(self, classes: ClassSet) -> Tensor:
        """Return the un-renormalised mean of each class's sentence features, [K, e]."""
        return classes.features("sentences").mean
