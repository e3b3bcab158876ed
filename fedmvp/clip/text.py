"""CLIP's text tower, from token ids or from token embeddings.

Text features are taken at the end-of-text position, which is computed from the token ids, so
embeddings may be replaced by learned prompts before the forward (docs/method.md#text-encoder).

Shapes: T texts, L context length, d_t text width, e joint embedding.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from fedmvp.clip.blocks import Block, FrozenNorm
from fedmvp.clip.spec import BackboneSpec
from fedmvp.clip.vision import _Blocks
from fedmvp.linear import LinearMap

__all__ = ["TextTower", "end_of_text"]


def end_of_text(ids: Tensor) -> Tensor:
    """Return the end-of-text position of each row, [T, L] → [T]: CLIP's largest token id."""
    return ids.argmax(dim=-1)


class TextTower(nn.Module):
    """A frozen causal transformer; its input gradient reaches learned context tokens.

    Parameters
    ----------
    spec : BackboneSpec
    like_lengths : bool, default=True
        `features` encodes texts of like length together.
    linear : LinearMap, optional
        What computes the blocks' linear maps.
    """

    causal: Tensor

    def __init__(
        self, spec: BackboneSpec, *, like_lengths: bool = True, linear: LinearMap = F.linear
    ) -> None:
        super().__init__()
        self.like_lengths = like_lengths
        text = spec.text
        self.width = text.width
        self.context_length = text.context_length
        self.token_embedding = nn.Embedding(
            text.vocabulary,
            text.width,
            _weight=torch.empty(text.vocabulary, text.width),
            _freeze=True,
        )
        self.positional_embedding = nn.Parameter(
            torch.empty(text.context_length, text.width), requires_grad=False
        )
        self.transformer = _Blocks(
            [
                Block(
                    text.width,
                    text.heads,
                    text.mlp_width,
                    quick_gelu=spec.quick_gelu,
                    linear=linear,
                )
                for _ in range(text.layers)
            ]
        )
        self.ln_final = FrozenNorm(text.width)
        self.text_projection = nn.Parameter(
            torch.empty(text.width, spec.embed_dim), requires_grad=False
        )
        # On the CPU whatever the device: on "meta" triu imports all of torch's compiler.
        later = torch.full((text.context_length,) * 2, float("-inf"), device="cpu").triu_(1)
        self.register_buffer("causal", later.to(self.text_projection.device), persistent=False)

    @torch.no_grad()
    def embed(self, ids: Tensor) -> Tensor:
        """Return token embeddings without positions, [T, L] → [T, L, d_t]."""
        return self.token_embedding(ids)  # type: ignore[no-any-return]

    def forward(
        self,
        embeddings: Tensor,
        end: Tensor,
        *,
        deep: Mapping[int, Tensor] | None = None,
        positioned: bool = False,
        save_memory: bool = False,
    ) -> Tensor:
        """Return un-normalised text features.

        Parameters
        ----------
        embeddings : Tensor of shape [T, N, d_t]
            Token embeddings, N <= L; positions are added here unless `positioned`.
        end : Tensor of shape [T]
            End-of-text positions, from the token ids.
        deep : mapping of block index to Tensor of shape [T or 1, n, d_t], optional
            Before that block tokens 1..n are replaced.
        positioned : bool, default=False
            The embeddings already hold their positional embedding.
        save_memory : bool, default=False
            Recompute each block in the backward pass instead of keeping its activations.

        Returns
        -------
        Tensor of shape [T, e]
        """
        length = embeddings.shape[1]
        x = embeddings
        if not positioned:
            x = x + self.positional_embedding[:length].to(x.dtype)
        mask = self.causal[:length, :length].to(x.dtype)
        for index, block in enumerate(self.transformer.resblocks):
            if deep is not None and index in deep:
                new = deep[index].to(x.dtype).expand(len(x), -1, -1)
                x = torch.cat([x[:, :1], new, x[:, 1 + new.shape[1] :]], dim=1)
            if save_memory and x.requires_grad:
                x = checkpoint(block, x, mask, use_reentrant=False)
            else:
                x = block(x, mask)
        x = self.ln_final(x[torch.arange(len(x), device=x.device), end])
        return x @ self.text_projection  # type: ignore[no-any-return]

    @torch.no_grad()
    def features(self, ids: Tensor, *, chunk: int = 256) -> Tensor:
        """Return L2-normalised features of fixed texts, [T, L] → [T, e].

        Columns behind the longest text of a chunk are dropped: the causal mask hides them from the
        end-of-text position. Texts of like length share a chunk, so few columns are computed in
        vain. The chunk size is fixed, so the bits do not depend on the caller.
        """
        ends = end_of_text(ids)
        # Zeros keep the order: sorting is stable.
        order = (ends if self.like_lengths else torch.zeros_like(ends)).argsort(stable=True)
        parts = []
        for rows in torch.split(ids[order], chunk):
            end = end_of_text(rows)
            rows = rows[:, : int(end.max()) + 1]
            parts.append(F.normalize(self(self.embed(rows), end), dim=-1))
        return torch.cat(parts)[order.argsort()]
