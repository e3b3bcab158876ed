"""CLIP weights from local files, in the forms people have them in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fedmvp.clip.activation import OPENAI_SCALARS
from fedmvp.clip.hugging_face import in_openai_names, is_hugging_face
from fedmvp.clip.torch_files import foreign_objects, read_torch, save_alone
from fedmvp.errors import BackboneError
from fedmvp.tensor_files import read_tensors

__all__ = ["filled", "read_state"]

#: Where training scripts keep the weights beside optimizer, epoch and arguments.
_NESTED = ("state_dict", "model_state_dict", "model")
#: What wrappers put before every name: DataParallel, and torch.compile.
_WRAPPERS = ("module.", "_orig_mod.")


def read_state(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file by OpenAI's and open_clip's names.

    Parameters
    ----------
    path : Path
        A .safetensors file, a state dict that ``torch.save`` wrote, alone or in a training
        checkpoint, or OpenAI's own TorchScript archive, of which only the tensors are read. Names
        of Hugging Face's ``CLIPModel`` are turned into OpenAI's.

    Raises
    ------
    BackboneError
        When the file is missing or damaged, or holds anything but finite tensors.
    """
    if not path.is_file():
        raise BackboneError("weights file is missing", where=path, hint="set backbone.weights")
    state = _state(_content(path), path)
    # The mask of the text tower holds infinities, and is not used.
    weights = {key: value for key, value in state.items() if not key.endswith("attn_mask")}
    if bad := next((key for key, value in weights.items() if not value.isfinite().all()), None):
        raise BackboneError(
            "tensor has values that are not finite",
            where=path,
            value=bad,
            hint="get the weights from their source again",
        )
    state = {_unwrapped(key): value for key, value in state.items()}
    return in_openai_names(state) if is_hugging_face(state) else state


def filled(model: nn.Module, state: Mapping[str, Tensor], path: Path) -> nn.Module:
    """Return the model with these tensors, in fp32 and in evaluation mode.

    Raises
    ------
    BackboneError
        Naming the first tensor that is missing, extra or misshapen; `path` says where it is from.
    """
    state = {key: value for key, value in state.items() if key not in OPENAI_SCALARS}
    expected = model.state_dict()
    # Masks are made by the model; archives of a program hold them, too.
    state = {
        key: value.float()
        for key, value in state.items()
        if key in expected or not key.endswith("attn_mask")
    }
    missing, extra = sorted(expected.keys() - state.keys()), sorted(state.keys() - expected.keys())
    if missing or extra:
        raise BackboneError(
            "tensors do not belong to this model",
            where=path,
            value=(missing or extra)[0],
            hint=f"{len(missing)} missing, {len(extra)} extra keys: choose the "
            "backbone.name the weights were made for",
        )
    for key, tensor in state.items():
        if tensor.shape != expected[key].shape:
            raise BackboneError(
                f"{key} has shape {tuple(tensor.shape)}",
                where=path,
                hint=f"the model needs {tuple(expected[key].shape)}: choose the "
                "backbone.name the weights were made for",
            )
    model.load_state_dict(state)
    return model.eval()


def _content(path: Path) -> Any:
    try:
        return read_tensors(path)[0] if path.suffix == ".safetensors" else read_torch(path)
    except Exception as error:  # the parsers of foreign bytes raise many kinds
        if path.suffix != ".safetensors" and (names := foreign_objects(path, error)):
            raise BackboneError(
                "contains more than tensors", where=path, value=names, hint=save_alone(path)
            ) from None
        raise BackboneError(
            f"weights cannot be read ({type(error).__name__})",
            where=path,
            hint="give a .safetensors file, a plain state dict (.pt) or OpenAI's own archive",
        ) from None


def _state(content: Any, path: Path) -> dict[str, Tensor]:
    if isinstance(content, dict):
        inner = (content[key] for key in _NESTED if isinstance(content.get(key), dict))
        content = next(inner, content)
    if not isinstance(content, dict) or not content:
        raise BackboneError(
            "not a state dict",
            where=path,
            value=type(content).__name__,
            hint="save model.state_dict()",
        )
    for key, value in content.items():
        tensor = isinstance(value, Tensor) and value.layout is torch.strided
        if not isinstance(key, str) or not tensor:
            raise BackboneError(
                "not a state dict",
                where=path,
                value=f"{key}: {type(value).__name__}",
                hint=save_alone(path),
            )
    return content


def _unwrapped(key: str) -> str:
    for wrapper in _WRAPPERS:
        key = key.removeprefix(wrapper)
    return key
