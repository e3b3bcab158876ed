"""Layers as the textbook has them, one token at a time.

Shapes: N tokens, d width.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x Wᵀ + b."""
    out = x @ weight.T
    return out if bias is None else out + bias


def layer_norm(tokens: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Normalise every token by its own mean and variance (eps 1e-5)."""
    rows = []
    for token in tokens:
        centred = token - token.sum() / len(token)
        variance = (centred * centred).sum() / len(token)
        rows.append(centred / torch.sqrt(variance + 1e-5) * weight + bias)
    return torch.stack(rows)


def gelu(x: Tensor) -> Tensor:
    """x Φ(x), the exact form."""
    return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))


def quick_gelu(x: Tensor) -> Tensor:
    """x σ(1.702 x)."""
    return x / (1 + torch.exp(-1.702 * x))


def softmax(scores: Tensor) -> Tensor:
    """exp(s_i) / Σ exp(s_j), shifted by the largest score."""
    powers = torch.exp(scores - scores.max().detach())
    return powers / powers.sum()


def attention(
    queries: Tensor, keys: Tensor, values: Tensor, heads: int, *, causal: bool = False
) -> Tensor:
    """Attend with every head and every query in turn: [Q, d], [N, d], [N, d] → [Q, d]."""
    size = queries.shape[1] // heads
    columns = []
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        key, value = keys[:, part].contiguous(), values[:, part].contiguous()
        rows = []
        for position, query in enumerate(queries[:, part]):
            seen = position + 1 if causal else len(keys)
            scores = key[:seen] @ query / math.sqrt(size)
            rows.append(softmax(scores) @ value[:seen])
        columns.append(torch.stack(rows))
    return torch.cat(columns, dim=1)


def normalise(vector: Tensor) -> Tensor:
    """v / ‖v‖."""
    return vector / torch.sqrt((vector * vector).sum())
