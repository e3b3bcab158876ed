"""The cross-attention block that FedMVP's PromptFormer and FedTPG share, with optional LoRA.

A block is attention of queries over a context, without a residual from the queries, followed by a
GEGLU feed-forward with a residual (docs/method.md#promptformer, #fedtpg). It is written from the
formulas.

Shapes: Q queries, n context tokens, d width, r LoRA rank.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedmvp.linear import LinearMap

__all__ = ["CrossAttention", "GatedFeedForward", "Linear", "LowRank", "Norm"]


class Linear(nn.Module):
    """A linear map initialised from a given generator: U(±1/√inputs), torch's default rule."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        generator: torch.Generator,
        linear: LinearMap = F.linear,
    ) -> None:
        super().__init__()
        self.linear = linear
        bound = 1 / math.sqrt(inputs)
        self.weight = nn.Parameter(_uniform((outputs, inputs), bound, generator))
        self.bias = nn.Parameter(_uniform((outputs,), bound, generator))

    def forward(self, x: Tensor) -> Tensor:
        """[..., inputs] → [..., outputs]."""
        return self.linear(x, self.weight, self.bias)


class Norm(nn.Module):
    """Layer norm over the last axis, scale 1 and shift 0 at the start."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """[..., d] → [..., d]."""
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, 1e-5)


def _uniform(shape: tuple[int, ...], bound: float, generator: torch.Generator) -> Tensor:
    return torch.empty(shape).uniform_(-bound, bound, generator=generator)


class LowRank(nn.Module):
    """Rank-r pairs (A [d, r], B [r, d]) for the query, key and value path.

    Parameters
    ----------
    zero_up : bool
        Start B at zero, so that switching LoRA on changes nothing; otherwise both factors are
        N(0, 0.02²), as in the official code (docs/method.md#difference-lora-init).
    """

    def __init__(self, width: int, rank: int, generator: torch.Generator, *, zero_up: bool) -> None:
        super().__init__()

        def gauss(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator) * 0.02

        for path in ("query", "key", "value"):
            self.register_parameter(f"{path}_a", nn.Parameter(gauss(width, rank)))
            up = torch.zeros(rank, width) if zero_up else gauss(rank, width)
            self.register_parameter(f"{path}_b", nn.Parameter(up))

    def delta(self, path: str) -> tuple[Tensor, Tensor]:
        """Return the factors (A, B) of one path."""
        return getattr(self, f"{path}_a"), getattr(self, f"{path}_b")


class CrossAttention(nn.Module):
    """Attention of queries over a context; Y has no residual from the queries.

    Parameters
    ----------
    width : int
        d, of queries and context.
    heads : int
    value_norm : bool
        Whether the context's layer norm is applied to values (FedTPG) or not (FedMVP).
    linear : LinearMap, optional
    """

    def __init__(
        self,
        width: int,
        heads: int,
        generator: torch.Generator,
        *,
        value_norm: bool,
        linear: LinearMap = F.linear,
    ) -> None:
        super().__init__()
        self.linear = linear
        if width % heads:
            raise ValueError(f"width {width} is not divisible by {heads} heads")
        self.heads = heads
        self.value_norm = value_norm
        self.norm = Norm(width)
        self.norm_context = Norm(width)
        # torch's MultiheadAttention draws its fused [3d, d] projection Xavier-uniformly.
        bound = math.sqrt(6 / (width + 3 * width))
        for path in ("query", "key", "value"):
            weight = _uniform((width, width), bound, generator)
            self.register_parameter(f"{path}_weight", nn.Parameter(weight))
            self.register_parameter(f"{path}_bias", nn.Parameter(torch.zeros(width)))
        self.output = Linear(width, width, generator, linear)
        nn.init.zeros_(self.output.bias)

    def _project(
        self,
        x: Tensor,
        path: str,
        norm: Callable[[Tensor], Tensor] | None,
        lora: LowRank | None,
        lora_on_inputs: bool,
    ) -> Tensor:
        """Normalise and project query, key or value (`path`), with LoRA on its input or weight."""
        if lora is not None and lora_on_inputs:
            a, b = lora.delta(path)
            x = x + x @ a @ b
        if norm is not None:
            x = norm(x)
        weight: Tensor = getattr(self, f"{path}_weight")
        if lora is not None and not lora_on_inputs:
            a, b = lora.delta(path)
            weight = weight + (a @ b).T
        return self.linear(x, weight, getattr(self, f"{path}_bias"))

    def _split(self, x: Tensor) -> Tensor:
        """[..., N, d] → [..., H, N, d / H]."""
        return torch.unflatten(x, -1, (self.heads, -1)).transpose(-3, -2)

    def paths(
        self,
        queries: Tensor,
        context: Tensor,
        lora: LowRank | None = None,
        *,
        lora_on_inputs: bool = False,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return projected queries, keys and values, each split into heads."""
        norm_value = self.norm_context if self.value_norm else None
        query = self._project(queries, "query", self.norm, lora, lora_on_inputs)
        key = self._project(context, "key", self.norm_context, lora, lora_on_inputs)
        value = self._project(context, "value", norm_value, lora, lora_on_inputs)
        return self._split(query), self._split(key), self._split(value)

    def forward(
        self,
        queries: Tensor,
        context: Tensor,
        lora: LowRank | None = None,
        *,
        lora_on_inputs: bool = False,
    ) -> Tensor:
        """Return the attention's output for each query.

        Parameters
        ----------
        queries : Tensor of shape [..., Q, d]
        context : Tensor of shape [..., n, d]
            Same leading axes as `queries`.

        Returns
        -------
        Tensor of shape [..., Q, d]
        """
        query, key, value = self.paths(queries, context, lora, lora_on_inputs=lora_on_inputs)
        if query.dim() == 3:  # a GPU's fused kernels need four axes
            heads = F.scaled_dot_product_attention(query[None], key[None], value[None])[0]
        else:
            heads = F.scaled_dot_product_attention(query, key, value)
        return self.output(heads.transpose(-3, -2).flatten(-2))  # type: ignore[no-any-return]

    def weights(
        self,
        queries: Tensor,
        context: Tensor,
        lora: LowRank | None = None,
        *,
        lora_on_inputs: bool = False,
    ) -> Tensor:
        """Return attention weights averaged over heads, [..., Q, n]."""
        query, key, _ = self.paths(queries, context, lora, lora_on_inputs=lora_on_inputs)
        scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
        return scores.softmax(dim=-1).mean(dim=-3)


class GatedFeedForward(nn.Module):
    """Z = Y + W2 [u1 ⊙ GELU(u2)] + b2, (u1, u2) the halves of W1 LN(Y) + b1, hidden 4d."""

    def __init__(
        self, width: int, generator: torch.Generator, linear: LinearMap = F.linear
    ) -> None:
        super().__init__()
        self.norm = Norm(width)
        self.expand = Linear(width, 8 * width, generator, linear)
        self.contract = Linear(4 * width, width, generator, linear)

    def gated(self, y: Tensor) -> Tensor:
        """Return the hidden activations, [..., d] → [..., 4d]."""
        value, gate = self.expand(self.norm(y)).chunk(2, dim=-1)
        return value * F.gelu(gate)  # type: ignore[no-any-return]

    def forward(self, y: Tensor) -> Tensor:
        """[..., d] → [..., d]."""
        return y + self.contract(self.gated(y))  # type: ignore[no-any-return]

    def pooled(self, y: Tensor, pool: Callable[[Tensor], Tensor]) -> Tensor:
        """Return ``pool(forward(y))`` for a `pool` that averages over tokens.

        Averaging commutes with the last linear map, which then runs on m tokens instead of b: a
        third of the feed-forward's work.
        """
        return pool(y) + self.contract(pool(self.gated(y)))  # type: ignore[no-any-return]
