"""CLIP's towers on one image or text, with every place a prompt can take.

Shapes: b patches, m prompts, N tokens of a text, d width, e joint embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
Replaced = Mapping[int, Tensor]
"""Block number → tokens that take a place before it."""


@dataclass(frozen=True)
class Model:
    """The frozen CLIP and its tokenizer."""

    weights: Weights
    patch: int
    layers: int
    heads: int
    text_layers: int
    text_heads: int
    quick: bool
    tokenize: Callable[[str], Sequence[int]]

    @property
    def scale(self) -> Tensor:
        """s."""
        return torch.exp(self.weights["logit_scale"])


def _affine(x: Tensor, w: Weights, name: str) -> Tensor:
    return linear(x, w[f"{name}.weight"], w[f"{name}.bias"])


def _norm(x: Tensor, w: Weights, name: str) -> Tensor:
    return layer_norm(x, w[f"{name}.weight"], w[f"{name}.bias"])


def _block(x: Tensor, w: Weights, name: str, heads: int, quick: bool, causal: bool) -> Tensor:
    normed = _norm(x, w, f"{name}.ln_1")
    fused = linear(normed, w[f"{name}.attn.in_proj_weight"], w[f"{name}.attn.in_proj_bias"])
    d = x.shape[1]
    mixed = attention(fused[:, :d], fused[:, d : 2 * d], fused[:, 2 * d :], heads, causal=causal)
    x = x + _affine(mixed, w, f"{name}.attn.out_proj")
    hidden = _affine(_norm(x, w, f"{name}.ln_2"), w, f"{name}.mlp.c_fc")
    hidden = quick_gelu(hidden) if quick else gelu(hidden)
    return x + _affine(hidden, w, f"{name}.mlp.c_proj")


def image_tokens(
    image: Tensor,
    model: Model,
    *,
    before_norm: Tensor | None = None,
    after_norm: Tensor | None = None,
    replaced: Replaced | None = None,
) -> Tensor:
    """Return all output tokens in the joint space, not normalised: [3, S, S] → [1 + b + m, e].

    Prompts are appended before or after ln_pre; before a block of `replaced` the last m tokens
    are exchanged.
    """
    w, size = model.weights, model.patch
    kernel = w["vision.conv1.weight"].flatten(1)
    rows = [w["vision.class_embedding"]]
    for top in range(0, image.shape[1], size):
        for left in range(0, image.shape[2], size):
            rows.append(kernel @ image[:, top : top + size, left : left + size].flatten())
    x = torch.stack(rows) + w["vision.positional_embedding"]
    if before_norm is not None:
        x = torch.cat([x, before_norm])
    x = _norm(x, w, "vision.ln_pre")
    if after_norm is not None:
        x = torch.cat([x, after_norm])
    for layer in range(model.layers):
        if replaced and layer in replaced:
            new = replaced[layer]
            x = torch.cat([x[: len(x) - len(new)], new])
        x = _block(x, w, f"vision.transformer.resblocks.{layer}", model.heads, model.quick, False)
    return _norm(x, w, "vision.ln_post") @ w["vision.proj"]


def image_feature(image: Tensor, model: Model) -> Tensor:
    """v of an un-prompted image, [e]."""
    return normalise(image_tokens(image, model)[0])


def text_feature(
    text: str, model: Model, *, words: Tensor | None = None, replaced: Replaced | None = None
) -> Tensor:
    """Return t, normalised, [e].

    `words` take the place of the tokens behind start-of-text before positions are added, those of
    `replaced` before their block. Tokens behind the end-of-text token are left out: a causal
    transformer does not see them.
    """
    w = model.weights
    ids = list(model.tokenize(text))
    ids = ids[: ids.index(max(ids)) + 1]
    x = torch.stack([w["text.token_embedding.weight"][token] for token in ids])
    if words is not None:
        x = torch.cat([x[:1], words, x[1 + len(words) :]])
    x = x + w["text.positional_embedding"][: len(ids)]
    for layer in range(model.text_layers):
        if replaced and layer in replaced:
            new = replaced[layer]
            x = torch.cat([x[:1], new, x[1 + len(new) :]])
        name = f"text.transformer.resblocks.{layer}"
        x = _block(x, w, name, model.text_heads, model.quick, True)
    return normalise(_norm(x[-1:], w, "text.ln_final")[0] @ w["text.text_projection"])
