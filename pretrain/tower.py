"""PictoCLIP's model and a fast training pass through its image tower.

The model is open_clip's own `CLIP` class. The training pass computes the same function from the
same parameters, with three savings: only the kept patches are embedded (patch dropping, Li et al.
2023, "Scaling Language-Image Pre-training via Masking", section 3), the last block is evaluated
for the class token alone, and all products run in bfloat16.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pretrain.recipe import Model

__all__ = [
    "MEAN",
    "STD",
    "build",
    "image_features",
    "init_mimetic",
    "model_config",
    "patch_grid",
    "text_features",
]

MEAN = (0.48145466, 0.4578275, 0.40821073)  # CLIP's own, so that any open_clip user is right
STD = (0.26862954, 0.26130258, 0.27577711)


def model_config(model: Model) -> dict[str, Any]:
    """Return open_clip's `model_cfg`."""
    return {
        "embed_dim": model.embed_dim,
        "vision_cfg": {
            "image_size": model.image_size,
            "layers": model.layers,
            "width": model.width,
            "head_width": model.head_width,
            "patch_size": model.patch_size,
        },
        "text_cfg": {
            "context_length": model.context_length,
            "vocab_size": 49408,
            "width": model.text_width,
            "heads": model.text_heads,
            "layers": model.text_layers,
        },
    }


def build(model: Model) -> Any:
    """Return open_clip's `CLIP` for this configuration, freshly initialised."""
    from open_clip.model import CLIP

    return CLIP(**model_config(model))


def init_mimetic(visual: Any, image_size: int, patch_size: int) -> None:
    """Start attention near what trained transformers look like.

    Query-key products start near the identity, value-output products near minus the identity,
    positions sinusoidal: Trockman and Kolter 2023, "Mimetic Initialization of Self-Attention
    Layers", section 3.
    """
    width = visual.conv1.out_channels
    for block in visual.transformer.resblocks:
        heads = block.attn.num_heads
        size = width // heads
        with torch.no_grad():
            weight = block.attn.in_proj_weight
            for head in range(heads):
                rows = slice(head * size, (head + 1) * size)
                target = 0.7 * torch.randn(width, width) / math.sqrt(width) + 0.7 * torch.eye(width)
                u, s, v = torch.svd_lowrank(target, q=size)
                root = s.sqrt()
                weight[:width][rows] = (u * root).T
                weight[width : 2 * width][rows] = (v * root).T
            target = 0.4 * torch.randn(width, width) / math.sqrt(width) - 0.4 * torch.eye(width)
            u, s, v = torch.linalg.svd(target)
            weight[2 * width :] = s.sqrt()[:, None] * v
            block.attn.out_proj.weight.copy_(u * s.sqrt())
    side = image_size // patch_size
    with torch.no_grad():
        visual.positional_embedding[1:] = _sinusoids(side, width)
        visual.positional_embedding[0].zero_()


def _sinusoids(side: int, width: int) -> Tensor:
    """Two-dimensional sinusoidal positions, float32 [side * side, width]."""
    quarter = width // 4
    rates = 1 / 10000 ** (torch.arange(quarter) / quarter)
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    angles = [axis.flatten()[:, None] * rates[None] for axis in (x, y)]
    return torch.cat([f(a) for a in angles for f in (torch.sin, torch.cos)], dim=1) * 0.5


def patch_grid(image_size: int, patch_size: int) -> Tensor:
    """Return the pixel centres of every patch in [-1, 1], float32 [patches, patch pixels, 2]."""
    side = image_size // patch_size
    centres = (torch.arange(image_size) + 0.5) * 2 / image_size - 1
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    grid = torch.stack([x, y], dim=-1).view(side, patch_size, side, patch_size, 2)
    return grid.permute(0, 2, 1, 3, 4).reshape(side * side, patch_size * patch_size, 2)


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return functional.linear(x, weight.to(x.dtype), None if bias is None else bias.to(x.dtype))


def _norm(x: Tensor, layer: nn.LayerNorm) -> Tensor:
    return functional.layer_norm(
        x, layer.normalized_shape, layer.weight.to(x.dtype), layer.bias.to(x.dtype), layer.eps
    )


def _block(block: Any, x: Tensor, queries: int | None = None, causal: bool = False) -> Tensor:
    """One residual block on [n, t, w]; `queries` limits the outputs to the first so many tokens."""
    n, t, width = x.shape
    attention = block.attn
    heads = attention.num_heads
    normed = _norm(x, block.ln_1)
    weight, bias = attention.in_proj_weight, attention.in_proj_bias
    kept = x if queries is None else x[:, :queries]
    if queries is None:
        q, k, v = _linear(normed, weight, bias).view(n, t, 3, heads, -1).permute(2, 0, 3, 1, 4)
    else:
        q = _linear(normed[:, :queries], weight[:width], bias[:width])
        q = q.view(n, queries, heads, -1).transpose(1, 2)
        k, v = (
            _linear(normed, weight[width:], bias[width:])
            .view(n, t, 2, heads, -1)
            .permute(2, 0, 3, 1, 4)
        )
    # For so few tokens plain products are several times faster on a CPU than the fused kernel.
    scores = (q * (width // heads) ** -0.5) @ k.transpose(-1, -2)
    if causal:
        scores = scores + torch.full((t, t), -1e4, dtype=x.dtype, device=x.device).triu(1)
    mixed = scores.softmax(-1) @ v
    mixed = mixed.transpose(1, 2).reshape(n, -1, width)
    x = kept + _linear(mixed, attention.out_proj.weight, attention.out_proj.bias)
    hidden = functional.gelu(
        _linear(_norm(x, block.ln_2), block.mlp.c_fc.weight, block.mlp.c_fc.bias)
    )
    return x + _linear(hidden, block.mlp.c_proj.weight, block.mlp.c_proj.bias)


def image_features(visual: Any, patches: Tensor, places: Tensor) -> Tensor:
    """Return image features of kept patches.

    Parameters
    ----------
    patches : Tensor
        [n, kept, 3 * patch * patch], normalised, channels slowest (the convolution's order).
    places : Tensor
        int64 [n, kept], index of each kept patch in the grid.

    Returns
    -------
    Tensor
        float32 [n, embed_dim], not normalised.
    """
    kernel = visual.conv1.weight.flatten(1)
    positions = visual.positional_embedding
    x = _linear(patches, kernel) + positions[1:].to(patches.dtype)[places]
    first = (visual.class_embedding + positions[0]).to(patches.dtype)
    x = torch.cat([first.expand(len(x), 1, -1), x], dim=1)
    x = _norm(x, visual.ln_pre)
    blocks = list(visual.transformer.resblocks)
    for block in blocks[:-1]:
        x = _block(block, x)
    x = _block(blocks[-1], x, queries=1)
    features: Tensor = _norm(x[:, 0].float(), visual.ln_post) @ visual.proj
    return features


def text_features(model: Any, tokens: Tensor, dtype: torch.dtype, chunks: int = 4) -> Tensor:
    """Return text features, float32 [n, embed_dim], not normalised.

    The columns after a text's end are cut off: attention is causal, so they change nothing. Texts
    of like length go together, in `chunks` groups, so that little padding is computed.
    """
    order = tokens.argmax(dim=-1).argsort()
    parts = []
    for rows in order.tensor_split(min(chunks, len(order))):
        last = tokens[rows].argmax(dim=-1)
        ids = tokens[rows, : int(last.max()) + 1]
        x = (model.token_embedding(ids) + model.positional_embedding[: ids.shape[1]]).to(dtype)
        for block in model.transformer.resblocks:
            x = _block(block, x, causal=True)
        parts.append(x[torch.arange(len(x), device=x.device), last].float())
    pooled = torch.cat(parts)[order.argsort()]
    features: Tensor = _norm(pooled, model.ln_final) @ model.text_projection
    return features
