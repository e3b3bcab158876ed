"""FedMVP's prompts, logits and losses, with the official code's tensor names.

Shapes: b patches, n bank texts, m prompts, d width, e joint embedding, r rank.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tests.reference.arithmetic import attention, gelu, layer_norm, linear, normalise
from tests.reference.encoders import Sizes, Weights, embed_image, image_feature

State = Mapping[str, Tensor]
ATTENTION = "crossattn.cross_attend_blocks.0"
FORWARD = "crossattn.cross_attend_blocks.1.net"


@dataclass(frozen=True)
class Recipe:
    """The points at which the paper and the official code differ, and the sizes."""

    lora_on_inputs: bool
    lora_trains_linear: bool
    last_batch_only: bool
    switch_before_step: bool
    trigger_on_last_batch: bool
    send_everything: bool
    half_precision_mean: bool
    keep_momentum: bool
    alpha: float = 10.0
    sigma: float = 0.5
    heads: int = 4
    prompts: int = 4
    value_norm: bool = False
    from_patches: bool = False
    depth: int = 1


PAPER = Recipe(False, False, False, False, False, False, False, False)
OFFICIAL = Recipe(True, True, True, True, True, True, True, True)
PATCHES = replace(PAPER, from_patches=True)
"""Ours: what the block makes is added to the patches, before pooling."""
DEEP = replace(PATCHES, depth=2)
"""Ours: into the second block, what the block makes goes beside learned tokens."""


@dataclass(frozen=True)
class Classes:
    """Bank A [n, e] and, per class, its classifier sentences [J_k, e]."""

    bank: Tensor
    sentences: Sequence[Tensor]


@dataclass(frozen=True)
class Clip:
    """The frozen model."""

    weights: Weights
    sizes: Sizes

    @property
    def scale(self) -> Tensor:
        return torch.exp(self.weights["logit_scale"])


def bins(tokens: int, prompts: int) -> list[tuple[int, int]]:
    """Adaptive pooling: bin i covers tokens floor(i t / m) to ceil((i + 1) t / m)."""
    return [
        (math.floor(i * tokens / prompts), math.ceil((i + 1) * tokens / prompts))
        for i in range(prompts)
    ]


def make_prompts(
    patches: Tensor, bank: Tensor, state: State, recipe: Recipe, *, lora: bool
) -> Tensor:
    """f_Θ(E, A): [b, d], [n, e] → [m, d]."""
    projected = linear(bank, state["linear.weight"], state["linear.bias"])
    d = patches.shape[1]
    fused = state[f"{ATTENTION}.fn.in_proj_weight"]
    bias = state[f"{ATTENTION}.fn.in_proj_bias"]
    inputs = {"query": patches, "key": projected, "value": projected}
    if lora and recipe.lora_on_inputs:
        inputs = {path: x + x @ _a(state, path) @ _b(state, path) for path, x in inputs.items()}
    context_norm = (
        state[f"{ATTENTION}.norm_context.weight"],
        state[f"{ATTENTION}.norm_context.bias"],
    )
    normed = {
        "query": layer_norm(
            inputs["query"], state[f"{ATTENTION}.norm.weight"], state[f"{ATTENTION}.norm.bias"]
        ),
        "key": layer_norm(inputs["key"], *context_norm),
        "value": layer_norm(inputs["value"], *context_norm)
        if recipe.value_norm
        else inputs["value"],
    }
    paths = {}
    for place, (path, x) in enumerate(normed.items()):
        rows = slice(place * d, (place + 1) * d)
        paths[path] = linear(x, fused[rows], bias[rows])
        if lora and not recipe.lora_on_inputs:
            paths[path] = paths[path] + x @ _a(state, path) @ _b(state, path)
    mixed = attention(paths["query"], paths["key"], paths["value"], recipe.heads)
    y = linear(
        mixed, state[f"{ATTENTION}.fn.out_proj.weight"], state[f"{ATTENTION}.fn.out_proj.bias"]
    )
    hidden = linear(
        layer_norm(y, state[f"{FORWARD}.0.weight"], state[f"{FORWARD}.0.bias"]),
        state[f"{FORWARD}.1.weight"],
        state[f"{FORWARD}.1.bias"],
    )
    half = hidden.shape[1] // 2
    gated = hidden[:, :half] * gelu(hidden[:, half:])
    z = y + linear(gated, state[f"{FORWARD}.3.weight"], state[f"{FORWARD}.3.bias"])
    if recipe.from_patches:
        z = z + patches
    pooled = []
    for first, last in bins(len(z), recipe.prompts):
        total = torch.zeros_like(z[0])
        for token in z[first:last]:
            total = total + token
        pooled.append(total / (last - first))
    return torch.stack(pooled)


def _a(state: State, path: str) -> Tensor:
    return state[f"cross_loraparams.cross_{path}A"]


def _b(state: State, path: str) -> Tensor:
    return state[f"cross_loraparams.cross_{path}B"]


def feature(
    image: Tensor, classes: Classes, state: State, recipe: Recipe, clip: Clip, *, lora: bool
) -> Tensor:
    """Prompted image feature v: [3, S, S] → [e]."""
    embedded = embed_image(image, clip.weights, clip.sizes)
    prompts = make_prompts(embedded[1:], classes.bank, state, recipe, lora=lora)
    bare = replace(recipe, from_patches=False)
    made = make_prompts(embedded[1:], classes.bank, state, bare, lora=lora)
    deep = [made + state["deep"][layer] for layer in range(recipe.depth - 1)]
    return image_feature(embedded, prompts, clip.weights, clip.sizes, deep)


def class_scores(v: Tensor, classes: Classes, clip: Clip) -> Tensor:
    """logit_k = s · (1 / J_k) Σ_j v · T_kj: [e] → [K]."""
    scores = []
    for sentences in classes.sentences:
        total = torch.zeros((), dtype=v.dtype)
        for sentence in sentences:
            total = total + (v * sentence).sum()
        scores.append(clip.scale * total / len(sentences))
    return torch.stack(scores)


def frozen_feature(image: Tensor, clip: Clip, *, flip: bool) -> Tensor:
    """v0, the un-prompted feature of the (mirrored) image."""
    seen = torch.stack([image[:, :, c] for c in reversed(range(image.shape[2]))], dim=2)
    embedded = embed_image(seen if flip else image, clip.weights, clip.sizes)
    return normalise(image_feature(embedded, None, clip.weights, clip.sizes))


@dataclass(frozen=True)
class Losses:
    """Total loss and its parts."""

    total: Tensor
    cross_entropy: Tensor
    consistency: Tensor


def losses(
    images: Tensor,
    labels: Sequence[int],
    flips: Sequence[bool],
    classes: Classes,
    state: State,
    recipe: Recipe,
    clip: Clip,
    *,
    lora: bool,
) -> Losses:
    """L = L_ce + α L_con over one batch, image by image."""
    cross_entropy = torch.zeros((), dtype=images.dtype)
    similarity = torch.zeros((), dtype=images.dtype)
    for image, label, flip in zip(images, labels, flips, strict=True):
        v = feature(image, classes, state, recipe, clip, lora=lora)
        scores = class_scores(v, classes, clip)
        top = scores.max().detach()
        log_sum = top + torch.log(torch.exp(scores - top).sum())
        cross_entropy = cross_entropy + log_sum - scores[label]
        similarity = similarity + (v * frozen_feature(image, clip, flip=flip).detach()).sum()
    cross_entropy = cross_entropy / len(images)
    consistency = 1 - similarity / len(images)
    return Losses(cross_entropy + recipe.alpha * consistency, cross_entropy, consistency)
