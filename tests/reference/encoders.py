"""CLIP's towers on one image or text; weights by open_clip's names.

Shapes: b patches, m prompts, d width, e joint embedding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tests.reference.arithmetic import (
    attention,
    gelu,
    layer_norm,
    linear,
    normalise,
    quick_gelu,
)

Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class Sizes:
    """What the weights alone do not tell."""

    patch: int
    layers: int
    heads: int
    text_layers: int
    text_heads: int
    quick: bool
    pre_norm: bool = True


def _block(tokens: Tensor, w: Weights, name: str, heads: int, quick: bool, causal: bool) -> Tensor:
    normed = layer_norm(tokens, w[f"{name}.ln_1.weight"], w[f"{name}.ln_1.bias"])
    fused, bias = w[f"{name}.attn.in_proj_weight"], w[f"{name}.attn.in_proj_bias"]
    d = tokens.shape[1]
    query = linear(normed, fused[:d], bias[:d])
    key = linear(normed, fused[d : 2 * d], bias[d : 2 * d])
    value = linear(normed, fused[2 * d :], bias[2 * d :])
    mixed = attention(query, key, value, heads, causal=causal)
    out = tokens + linear(mixed, w[f"{name}.attn.out_proj.weight"], w[f"{name}.attn.out_proj.bias"])
    normed = layer_norm(out, w[f"{name}.ln_2.weight"], w[f"{name}.ln_2.bias"])
    hidden = linear(normed, w[f"{name}.mlp.c_fc.weight"], w[f"{name}.mlp.c_fc.bias"])
    hidden = quick_gelu(hidden) if quick else gelu(hidden)
    return out + linear(hidden, w[f"{name}.mlp.c_proj.weight"], w[f"{name}.mlp.c_proj.bias"])


def embed_image(image: Tensor, w: Weights, sizes: Sizes) -> Tensor:
    """X0 = [cls; patches] + positions, before ln_pre: [3, S, S] → [1 + b, d]."""
    kernel = w["vision.conv1.weight"].flatten(1)
    tokens = [w["vision.class_embedding"]]
    for row in range(0, image.shape[1], sizes.patch):
        for column in range(0, image.shape[2], sizes.patch):
            patch = image[:, row : row + sizes.patch, column : column + sizes.patch]
            tokens.append(kernel @ patch.flatten())
    return torch.stack(tokens) + w["vision.positional_embedding"]


def image_feature(
    embedded: Tensor,
    prompts: Tensor | None,
    w: Weights,
    sizes: Sizes,
    deep: Sequence[Tensor] = (),
) -> Tensor:
    """Append the prompts at the end, run the tower, project and normalise: → [e].

    ``deep[i]`` takes the prompts' place before block i + 1.
    """
    tokens = embedded if prompts is None else torch.cat([embedded, prompts])
    if sizes.pre_norm:
        tokens = layer_norm(tokens, w["vision.ln_pre.weight"], w["vision.ln_pre.bias"])
    for layer in range(sizes.layers):
        name = f"vision.transformer.resblocks.{layer}"
        if 0 < layer <= len(deep):
            tokens = torch.cat([tokens[: -len(deep[layer - 1])], deep[layer - 1]])
        tokens = _block(tokens, w, name, sizes.heads, sizes.quick, causal=False)
    cls = layer_norm(tokens[:1], w["vision.ln_post.weight"], w["vision.ln_post.bias"])[0]
    return normalise(cls @ w["vision.proj"])


def text_feature(ids: Tensor, w: Weights, sizes: Sizes) -> Tensor:
    """Encode all L tokens of one text; read the end-of-text position: [L] → [e]."""
    tokens = torch.stack([w["text.token_embedding.weight"][token] for token in ids.tolist()])
    tokens = tokens + w["text.positional_embedding"]
    for layer in range(sizes.text_layers):
        name = f"text.transformer.resblocks.{layer}"
        tokens = _block(tokens, w, name, sizes.text_heads, sizes.quick, causal=True)
    end = ids.tolist().index(max(ids.tolist()))
    token = layer_norm(tokens[end : end + 1], w["text.ln_final.weight"], w["text.ln_final.bias"])[0]
    return normalise(token @ w["text.text_projection"])
