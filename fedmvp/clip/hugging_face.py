"""CLIP weights in the names of Hugging Face's ``CLIPModel``, turned into OpenAI's.

The tensors are the same but for three things: query, key and value projections are apart, the two
projections into the joint space are linear layers, and the names differ.

Shapes: d width of a tower, e joint embedding.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

__all__ = ["in_openai_names", "is_hugging_face"]

_TOWERS = {"text_model": "", "vision_model": "visual."}
_LAYER = re.compile(r"(text_model|vision_model)\.encoder\.layers\.(\d+)\.(.+)")
_IN_LAYER = {
    "self_attn.out_proj": "attn.out_proj",
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}
_PATHS = ("q_proj", "k_proj", "v_proj")
_ELSEWHERE = {
    "logit_scale": "logit_scale",
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.final_layer_norm.weight": "ln_final.weight",
    "text_model.final_layer_norm.bias": "ln_final.bias",
    "vision_model.embeddings.class_embedding": "visual.class_embedding",
    "vision_model.embeddings.patch_embedding.weight": "visual.conv1.weight",
    "vision_model.embeddings.position_embedding.weight": "visual.positional_embedding",
    # The library's own spelling.
    "vision_model.pre_layrnorm.weight": "visual.ln_pre.weight",
    "vision_model.pre_layrnorm.bias": "visual.ln_pre.bias",
    "vision_model.post_layernorm.weight": "visual.ln_post.weight",
    "vision_model.post_layernorm.bias": "visual.ln_post.bias",
}
#: Linear layers there, matrices that are multiplied from the right here.
_TRANSPOSED = {
    "text_projection.weight": "text_projection",
    "visual_projection.weight": "visual.proj",
}
_DERIVED = re.compile(r"(text|vision)_model\.embeddings\.position_ids")


def is_hugging_face(state: Mapping[str, Tensor]) -> bool:
    """Tell whether the names are those of ``CLIPModel``."""
    return any(key.startswith(f"{tower}.encoder.layers.") for key in state for tower in _TOWERS)


def in_openai_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the same weights by OpenAI's names; a key without one keeps its own.

    Parameters
    ----------
    state : mapping of str to Tensor
        ``CLIPModel.state_dict()``; projections of attention [d, d], of the towers [e, d].
    """
    renamed: dict[str, Tensor] = {}
    fused: dict[str, dict[str, Tensor]] = {}
    for key, tensor in state.items():
        if _DERIVED.fullmatch(key):  # 0, 1, 2, …: older versions saved them
            continue
        if found := _LAYER.fullmatch(key):
            tower, layer, rest = found.groups()
            block = f"{_TOWERS[tower]}transformer.resblocks.{layer}."
            name, _, part = rest.rpartition(".")
            path = name.removeprefix("self_attn.")
            if path in _PATHS:
                fused.setdefault(f"{block}attn.in_proj_{part}", {})[path] = tensor
            else:
                renamed[f"{block}{_IN_LAYER.get(name, name)}.{part}"] = tensor
        elif key in _TRANSPOSED and tensor.ndim == 2:
            renamed[_TRANSPOSED[key]] = tensor.T.contiguous()
        else:
            renamed[_ELSEWHERE.get(key, key)] = tensor
    for key, paths in fused.items():
        # With one missing the key stays missing, and is told by its name.
        if paths.keys() == set(_PATHS):
            renamed[key] = torch.cat([paths[path] for path in _PATHS])
    return renamed
