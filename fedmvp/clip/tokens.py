"""Token ids of texts, from open_clip's BPE, cached because importing open_clip takes seconds."""

from __future__ import annotations

import functools
import importlib.util
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fedmvp.clip.feature_cache import cached_features

__all__ = ["count_tokens", "import_tokenizer", "tokenize"]

_LOG = logging.getLogger(__name__)


def tokenize(texts: Sequence[str], context_length: int) -> Tensor:
    """Return CLIP's BPE ids, zero padded, int64 [T, L].

    Longer texts are cut to L tokens with the end-of-text token kept last (open_clip's rule; the
    OpenAI tokenizer raises instead), and logged the first time.
    """

    def compute() -> Tensor:

        ids = torch.as_tensor(import_tokenizer(context_length)(list(texts)))
        full = [text for text, row in zip(texts, ids, strict=True) if row[-1]]
        counts = count_tokens(full) if full else []
        cut = [text for text, tokens in zip(full, counts, strict=True) if tokens > context_length]
        if cut:
            _LOG.warning(
                "%d of %d texts are longer than %d tokens and cut off; the first: %r",
                len(cut),
                len(texts),
                context_length,
                cut[0],
            )
        return ids

    return cached_features({"tokens": list(texts), "length": context_length}, compute)


def count_tokens(texts: Sequence[str]) -> list[int]:
    """Return how many of CLIP's BPE tokens each text has, uncut, start and end included."""
    tokenizer = import_tokenizer(2)
    return [len(tokenizer.encode(text)) + 2 for text in texts]


@functools.cache
def import_tokenizer(context_length: int) -> Any:
    """Return open_clip's CLIP BPE tokenizer, a callable from texts to ids [T, L]."""
    return _tokenizer_module().SimpleTokenizer(context_length=context_length)


@functools.cache
def _tokenizer_module() -> Any:
    """Load open_clip's tokenizer without the package around it, which takes seconds to import."""
    package = importlib.util.find_spec("open_clip")
    if package is None or package.origin is None:
        raise ImportError("open_clip is not installed")
    file = Path(package.origin).with_name("tokenizer.py")
    spec = importlib.util.spec_from_file_location("open_clip_tokenizer", file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
