"""The encoded texts of a bundle, for which a reader needs neither tokenizer nor text tower.

texts.json lists the texts and says which backbone encoded them; features.safetensors has a row for
each. Without these files, and for other texts, everything is encoded where it is needed.

Shapes: T texts, e joint embedding.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors.torch import save
from torch import Tensor

from fedmvp.clip.backbone import Backbone
from fedmvp.config import Section
from fedmvp.errors import CheckpointError
from fedmvp.files import read_json, write_bytes, write_json
from fedmvp.tensor_files import read_tensors

__all__ = ["read_texts", "write_texts"]

_LIST, _FEATURES, _KEY = "texts.json", "features.safetensors", "features"
_HINT = "export the model again, or delete both files: the texts are then encoded"


class _Texts(Section):
    """Content of texts.json."""

    tower_sha256: str
    precision: str
    texts: tuple[str, ...]


def write_texts(folder: Path, backbone: Backbone, known: Mapping[str, Tensor]) -> None:
    """Write texts with the features the backbone gave them, [e] each; nothing where none is."""
    if not known:
        return
    listed = _Texts(
        tower_sha256=backbone.spec.tower_sha256, precision=backbone.precision, texts=tuple(known)
    )
    features = torch.stack(list(known.values())).cpu().contiguous()
    write_json(folder / _LIST, listed.model_dump(mode="json"))
    write_bytes(folder / _FEATURES, save({_KEY: features}))


def read_texts(folder: Path, backbone: Backbone) -> None:
    """Make what a bundle encoded known to the backbone; of another backbone nothing is taken.

    Raises
    ------
    CheckpointError
        When the files do not belong together.
    """
    if not (folder / _LIST).is_file():
        return
    try:
        listed = _Texts.model_validate(read_json(folder / _LIST))
        features = read_tensors(folder / _FEATURES)[0][_KEY]
    except (ValidationError, ValueError, KeyError, OSError) as error:
        raise CheckpointError(
            f"encoded texts cannot be read ({type(error).__name__})", where=folder, hint=_HINT
        ) from None
    if (listed.tower_sha256, listed.precision) != (backbone.spec.tower_sha256, backbone.precision):
        return
    shape = (len(listed.texts), backbone.spec.embed_dim)
    if features.shape != shape or not bool(torch.isfinite(features).all()):
        raise CheckpointError(
            f"encoded texts are not {shape[0]} rows of {shape[1]} finite numbers",
            where=folder / _FEATURES,
            hint=_HINT,
        )
    backbone.known_texts.update(zip(listed.texts, features, strict=True))
