"""Token ids of texts, from open_clip's BPE, cached because importing open_clip takes seconds."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fedmvp.clip.feature_cache import cached_features

__all__ = ["tokenize"]


def tokenize(texts: Sequence[str], context_length: int) -> Tensor:
    """Return CLIP's BPE ids, zero padded, int64 [T, L].

    Longer texts are cut to L tokens with the end-of-text token kept last (open_clip's rule; the
    OpenAI tokenizer raises instead).
    """

    def compute() -> Tensor:
        from fedmvp.clip.open_clip_models import import_tokenizer

        return torch.as_tensor(import_tokenizer(context_length)(list(texts)))

    return cached_features({"tokens": list(texts), "length": context_length}, compute)
