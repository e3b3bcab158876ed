"""Frozen features and token ids on disk, keyed by everything that determines them.

A stage that only needs features it has seen before neither imports open_clip (for the tokenizer)
nor runs the text tower. Entries are written atomically; a damaged entry is computed again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from safetensors.torch import save
from torch import Tensor

from fedmvp.files import sha256_json, write_bytes
from fedmvp.paths import cache_root
from fedmvp.tensor_files import parse_tensors

__all__ = ["cached_features"]


def cached_features(key: Mapping[str, Any], compute: Callable[[], Tensor]) -> Tensor:
    """Return the tensor stored under `key`, computing and storing it on a miss."""
    path = cache_root() / "features" / f"{sha256_json(key)}.safetensors"
    try:
        return parse_tensors(path.read_bytes())["value"]
    except (OSError, ValueError, KeyError):
        value = compute()
    # A cache that cannot be written costs time, not the result.
    with contextlib.suppress(OSError):
        write_bytes(path, save({"value": value.contiguous()}))
    return value
