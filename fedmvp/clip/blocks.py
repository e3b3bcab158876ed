"""The residual attention block of CLIP's towers, with open_clip's parameter names.

open_clip's own block goes through nn.MultiheadAttention; ours is the same arithmetic written with
`scaled_dot_product_attention`, so that one row (the CLS query) can be computed alone, and so that
the tower does not change with open_clip's releases. `fedmvp.clip.conversion` asserts the equality
whenever a backbone is imported.

Shapes: B images or texts, N tokens, d width, H heads.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedmvp.linear import LinearMap

__all__ = ["Block", "FrozenLinear", "FrozenNorm"]


def _frozen(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(*shape), requires_grad=False)


class FrozenLinear(nn.Module):
    """y = x Wᵀ + b with weights that never take a gradient."""

    def __init__(self, inputs: int, outputs: int, linear: LinearMap) -> None:
        super().__init__()
        self.linear = linear
        self.weight = _frozen(outputs, inputs)
        self.bias = _frozen(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map [..., inputs] to [..., outputs]."""
        return self.linear(x, self.weight, self.bias)


class FrozenNorm(nn.Module):
    """Layer norm over the last axis with frozen weights (eps 1e-5, as in open_clip)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = _frozen(width)
        self.bias = _frozen(width)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise [..., d], in the dtype of `x`."""
        out = F.layer_norm(x, self.weight.shape, self.weight, self.bias, 1e-5)
        return out.to(x.dtype)


class _Attention(nn.Module):
    """Multi-head self-attention with one fused input projection."""

    def __init__(self, width: int, heads: int, linear: LinearMap) -> None:
        super().__init__()
        self.heads = heads
        self.linear = linear
        self.in_proj_weight = _frozen(3 * width, width)
        self.in_proj_bias = _frozen(3 * width)
        self.out_proj = FrozenLinear(width, width, linear)

    def _split(self, x: Tensor) -> Tensor:
        """[B, N, d] → [B, H, N, d / H]."""
        return torch.unflatten(x, -1, (self.heads, -1)).transpose(1, 2)

    def project(self, x: Tensor) -> Tensor:
        """Return queries, keys and values side by side, [B, N, d] → [B, N, 3d]."""
        return self.linear(x, self.in_proj_weight, self.in_proj_bias)

    def attend(self, projected: Tensor, mask: Tensor | None) -> Tensor:
        """Attend from every token: [B, N, 3d] → [B, N, d]."""
        query, key, value = projected.chunk(3, dim=-1)
        heads = F.scaled_dot_product_attention(
            self._split(query), self._split(key), self._split(value), attn_mask=mask
        )
        return self.out_proj(heads.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Attend from every token: [B, N, d] → [B, N, d]."""
        return self.attend(self.project(x), mask)

    def first(self, x: Tensor) -> Tensor:
        """Attend from token 0 only: [B, N, d] → [B, 1, d]."""
        d = x.shape[-1]
        query = self.linear(x[:, :1], self.in_proj_weight[:d], self.in_proj_bias[:d])
        key, value = self.linear(x, self.in_proj_weight[d:], self.in_proj_bias[d:]).chunk(2, dim=-1)
        heads = F.scaled_dot_product_attention(
            self._split(query), self._split(key), self._split(value)
        )
        return self.out_proj(heads.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class _MLP(nn.Module):
    """Linear, (quick) GELU, linear."""

    def __init__(self, width: int, hidden: int, quick_gelu: bool, linear: LinearMap) -> None:
        super().__init__()
        self.quick_gelu = quick_gelu
        self.c_fc = FrozenLinear(width, hidden, linear)
        self.c_proj = FrozenLinear(hidden, width, linear)

    def forward(self, x: Tensor) -> Tensor:
        """[..., d] → [..., d]."""
        hidden = self.c_fc(x)
        hidden = hidden * torch.sigmoid(1.702 * hidden) if self.quick_gelu else F.gelu(hidden)
        return self.c_proj(hidden)  # type: ignore[no-any-return]


class Block(nn.Module):
    """Pre-norm residual block: attention, then MLP."""

    def __init__(
        self,
        width: int,
        heads: int,
        hidden: int,
        *,
        quick_gelu: bool,
        linear: LinearMap = F.linear,
    ) -> None:
        super().__init__()
        self.ln_1 = FrozenNorm(width)
        self.attn = _Attention(width, heads, linear)
        self.ln_2 = FrozenNorm(width)
        self.mlp = _MLP(width, hidden, quick_gelu, linear)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Map [B, N, d] to [B, N, d]; `mask` [N, N] is added to the attention scores."""
        x = x + self.attn(self.ln_1(x), mask)
        return x + self.mlp(self.ln_2(x))  # type: ignore[no-any-return]

    def appended(self, fixed: Tensor, own: Tensor) -> Tensor:
        """Map [B, N, d] and [B, m, d], one behind the other, to [B, N + m, d].

        `fixed` takes no gradient, so the backward pass projects the m rows of `own` alone.
        """
        with torch.no_grad():
            projected = self.attn.project(self.ln_1(fixed))
        projected = torch.cat([projected, self.attn.project(self.ln_1(own))], dim=1)
        x = torch.cat([fixed, own], dim=1) + self.attn.attend(projected, None)
        return x + self.mlp(self.ln_2(x))  # type: ignore[no-any-return]

    def first(self, x: Tensor) -> Tensor:
        """Map [B, N, d] to token 0 of the output, [B, 1, d].

        The rest of the last block's output is never read, so computing one row saves the query
        projection, the output projection and the MLP of N - 1 tokens.
        """
        out = x[:, :1] + self.attn.first(self.ln_1(x))
        return out + self.mlp(self.ln_2(out))  # type: ignore[no-any-return]
