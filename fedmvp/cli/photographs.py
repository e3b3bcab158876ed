"""Whether a user's own images suit the backbone of params.yaml, before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fedmvp.config import load_params
from fedmvp.data.decode import decode_image
from fedmvp.data.readers.image_files import is_image
from fedmvp.errors import DataError, FedMVPError
from fedmvp.evaluation.domain import domain_of, foreign_to

__all__ = ["PAPER", "unlike_backbone"]

PAPER = "fedmvp profile use paper"
"""The profile for photographs: its backbone was trained on them, and its rates fit it."""

_SAMPLE = 32


def unlike_backbone(folder: Path) -> str | None:
    """Return a warning if most images in `folder` are not of the backbone's kind.

    A sample spread over the tree is checked; images that cannot be read are ignored here.
    """
    try:
        backbone = load_params().backbone
    except FedMVPError:  # no repository, or invalid parameters, which other commands report
        return None
    domain = domain_of(backbone, weights=backbone.weights)
    if domain is None:
        return None
    pixels = []
    for path in _spread(sorted(path for path in folder.rglob("*") if is_image(path.name))):
        try:
            pixels.append(decode_image(path, domain.image_size))
        except DataError:
            continue
    return foreign_to(np.stack(pixels), domain) if pixels else None


def _spread(paths: Sequence[Path]) -> Sequence[Path]:
    if len(paths) <= _SAMPLE:
        return paths
    return [paths[number * len(paths) // _SAMPLE] for number in range(_SAMPLE)]
