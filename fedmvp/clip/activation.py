"""The activation with which weights were trained: tensors do not show it, and errors are silent.

OpenAI's models, and many others, were trained with QuickGELU, x · sigmoid(1.702 x), and lose some
points with the exact GELU; the same holds the other way round. A file may declare it: by three
scalars that only OpenAI's archives carry, or by a configuration beside it. Where it does not, see
`fedmvp.clip.activation_measure`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from fedmvp.errors import BackboneError, DataError
from fedmvp.files import read_json

__all__ = ["CONFIGS", "OPENAI_SCALARS", "Declared", "activation_name", "declared_activation"]

#: OpenAI's archives carry them beside the weights; they describe the architecture.
OPENAI_SCALARS = ("input_resolution", "context_length", "vocab_size")
#: open_clip's and Hugging Face's, in the folder of the weights.
CONFIGS = ("open_clip_config.json", "config.json")
_KNOWN = {"quick_gelu": True, "gelu": False}


@dataclass(frozen=True)
class Declared:
    """What a file says about its activation, and where."""

    quick_gelu: bool
    by: str


def activation_name(quick_gelu: bool) -> str:
    """Return an activation's name in a sentence."""
    return "QuickGELU" if quick_gelu else "plain GELU"


def declared_activation(path: Path, state: Mapping[str, Tensor]) -> Declared | None:
    """Return what the weights in `path` declare; None where nothing does.

    Raises
    ------
    BackboneError
        When the configuration beside them cannot be read, or names another activation.
    """
    if all(scalar in state for scalar in OPENAI_SCALARS):
        return Declared(True, "its scalars are those of OpenAI's archives")
    for name in CONFIGS:
        beside = path.with_name(name)
        if beside.is_file() and (found := _configured(beside)) is not None:
            return Declared(found, f"{name} beside it says so")
    return None


def _configured(path: Path) -> bool | None:
    try:
        config = read_json(path)
    except DataError as error:
        hint = "correct or remove the file beside the weights"
        raise BackboneError(error.what, where=path, hint=hint) from None
    if not isinstance(config, dict):
        return None
    if isinstance(own := config.get("model_cfg"), dict):  # open_clip's
        return bool(own.get("quick_gelu", False))
    if config.get("model_type") != "clip":
        return None
    towers = [config.get(f"{tower}_config") for tower in ("text", "vision")]
    # The library leaves out what is its default.
    found = {_activation(tower) for tower in towers}
    if len(found) != 1 or (name := found.pop()) not in _KNOWN:
        raise BackboneError(
            "activation is neither gelu nor quick_gelu in both towers",
            where=path,
            hint="use a plain CLIP ViT",
        )
    return _KNOWN[name]


def _activation(tower: Any) -> str:
    return str(tower.get("hidden_act", "quick_gelu")) if isinstance(tower, dict) else "quick_gelu"
