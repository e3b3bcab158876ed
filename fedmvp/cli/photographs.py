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
"""The profile for photographs: its backbone knows them, and its rates are for that backbone."""

_SAMPLE = 32


def unlike_backbone(folder: Path) -> str | None:
    """Return a warning where most images below `folder` are not of the backbone's kind.

    A sample is looked at, spread over the tree; an image that cannot be read says nothing here.
    """
    try:
        backbone = load_params().backbone
    except FedMVPError:  # no repository, or its parameters are another command's matter
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
