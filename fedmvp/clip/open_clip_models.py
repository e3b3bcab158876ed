"""Models and the tokenizer of open_clip: the only module that imports it.

Importing it takes three times as long as torch's, so one stage does (`fedmvp.clip.conversion`), and
later ones read the files it wrote.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from fedmvp.clip.architecture import describe
from fedmvp.clip.spec import BackboneSpec
from fedmvp.clip.torch_files import read_torch
from fedmvp.errors import BackboneError, nearest

__all__ = ["PICTOCLIP", "describe_model", "import_tokenizer", "open_clip_model"]

#: Name of the CLIP model that ships with the package.
PICTOCLIP = "pictoclip"


def _silence_hubs() -> None:
    """Turn telemetry off before the hub clients are imported."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


@contextlib.contextmanager
def _building() -> Iterator[None]:
    """Mute open_clip's warning that a model was built without weights: they follow."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def _pictoclip_folder() -> Traversable:
    return resources.files("fedmvp.clip").joinpath("weights", PICTOCLIP)


def _pictoclip_architecture() -> dict[str, Any]:
    text = _pictoclip_folder().joinpath("config.json").read_text(encoding="utf-8")
    config: dict[str, Any] = json.loads(text)["model_cfg"]
    return config


def _require_known(name: str) -> None:
    import open_clip

    known = open_clip.list_models()
    if name not in known:
        raise BackboneError("unknown backbone", where="backbone.name", value=name,
                            hint=nearest(name, [PICTOCLIP, *known]))  # fmt: skip


def describe_model(name: str) -> BackboneSpec:
    """Return the sizes of an open_clip model without making its weights.

    Parameters
    ----------
    name : str
        ``"pictoclip"`` or a name open_clip knows.

    Returns
    -------
    BackboneSpec
        With a hash of zeros: there are no weights.

    Raises
    ------
    BackboneError
        For an unknown name or an architecture that is not supported.
    """
    _silence_hubs()
    import open_clip

    with torch.device("meta"), _building():
        if name == PICTOCLIP:
            model = open_clip.CLIP(**_pictoclip_architecture())
        else:
            _require_known(name)
            model = open_clip.create_model(name, pretrained=None, device="meta")
    return describe(model, name, None)


def import_tokenizer(context_length: int) -> Any:
    """Return open_clip's CLIP BPE tokenizer, a callable from texts to ids [T, L]."""
    _silence_hubs()
    import open_clip

    return open_clip.SimpleTokenizer(context_length=context_length)


def open_clip_model(
    name: str, pretrained: str | None = None, weights: Path | None = None
) -> nn.Module:
    """Build the open_clip model in fp32, in evaluation mode.

    Parameters
    ----------
    name : str
        ``"pictoclip"`` or a name open_clip knows.
    pretrained : str, optional
        open_clip's tag; fetched by open_clip.
    weights : Path, optional
        A local .safetensors file, a .pt state dict or OpenAI's own TorchScript archive, of which
        only the tensors are read; with OpenAI's and open_clip's key naming. In place of
        `pretrained`.

    Raises
    ------
    BackboneError
        For an unknown name, a wrong activation, or weights that do not fit.
    """
    # Before open_clip is imported: a wrong file is told at once.
    state = None if weights is None else _read_state(weights)
    _silence_hubs()
    import open_clip

    if name == PICTOCLIP:
        model = open_clip.CLIP(**_pictoclip_architecture())
        if weights is not None and state is not None:
            return _load(model, state, weights)
        with resources.as_file(_pictoclip_folder().joinpath("model.safetensors")) as path:
            return _load(model, _read_state(Path(path)), Path(path))
    _require_known(name)
    config = open_clip.get_model_config(name)
    if pretrained == "openai" and not config.get("quick_gelu", False):
        # open_clip only warns, and then computes plain GELU with weights trained for QuickGELU.
        raise BackboneError("OpenAI weights need the QuickGELU activation", where="backbone.name",
                            value=name, hint=f"use {name}-quickgelu")  # fmt: skip
    try:
        with _building():
            model = open_clip.create_model(name, pretrained=pretrained if weights is None else None)
    except (OSError, RuntimeError, ValueError) as error:
        raise BackboneError(f"open_clip cannot build it: {error}", where="backbone", value=name,
                            hint="check backbone.pretrained and the network, or give "
                            "backbone.weights a local file") from None  # fmt: skip
    model.eval()
    return model if weights is None or state is None else _load(model, state, weights)


def _load(model: nn.Module, state: dict[str, Tensor], weights: Path) -> nn.Module:
    # OpenAI's archives carry three scalars that describe the architecture, not weights.
    for scalar in ("input_resolution", "context_length", "vocab_size"):
        state.pop(scalar, None)
    expected = model.state_dict()
    # Masks are made by the model; archives of a program hold them, too.
    state = {
        key: value.float()
        for key, value in state.items()
        if key in expected or not key.endswith("attn_mask")
    }
    missing, extra = sorted(expected.keys() - state.keys()), sorted(state.keys() - expected.keys())
    if missing or extra:
        raise BackboneError("tensors do not belong to this model", where=weights,
                            value=(missing or extra)[0],
                            hint=f"{len(missing)} missing, {len(extra)} extra keys: choose the "
                            "backbone.name the weights were made for")  # fmt: skip
    for key, tensor in state.items():
        if tensor.shape != expected[key].shape:
            raise BackboneError(f"{key} has shape {tuple(tensor.shape)}", where=weights,
                                hint=f"the model wants {tuple(expected[key].shape)}: choose the "
                                "backbone.name the weights were made for")  # fmt: skip
    model.load_state_dict(state)
    return model.eval()


def _read_state(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise BackboneError("weights file is missing", where=path, hint="set backbone.weights")
    try:
        if path.suffix == ".safetensors":
            found: dict[str, Tensor] = load_file(path)
            return found
        state = read_torch(path)
    except Exception as error:  # the parsers of foreign bytes raise many kinds
        raise BackboneError(f"weights cannot be read ({type(error).__name__})", where=path,
                            hint="give a .safetensors file, a plain state dict (.pt) or "
                            "OpenAI's own archive") from None  # fmt: skip
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) and value.layout is torch.strided
        for key, value in state.items()
    ):
        raise BackboneError("not a state dict", where=path, hint="save model.state_dict()")
    # The mask of the text tower holds infinities, and is not used.
    weights = {key: value for key, value in state.items() if not key.endswith("attn_mask")}
    if bad := next((key for key, value in weights.items() if not value.isfinite().all()), None):
        raise BackboneError("tensor has values that are not finite", where=path, value=bad,
                            hint="get the weights from their source again")  # fmt: skip
    return {key.removeprefix("module."): value for key, value in state.items()}
