"""PromptFormer: image patches × class attributes → m visual prompts (docs/method.md#promptformer).

The bank's keys and values do not depend on the image, so they are computed once for a batch and
all B·b queries attend over them together; the bank is not copied for each image.

Shapes: B images, b patches, n bank texts, e joint embedding, d vision width, m prompts.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedmvp.linear import LinearMap
from fedmvp.methods.cross_attention import CrossAttention, GatedFeedForward, Linear, LowRank
from fedmvp.shortcuts import Shortcuts

__all__ = ["Conditioning", "PromptFormer", "Start"]

Conditioning = Literal["multimodal", "image", "text"]
Start = Literal["random", "patches"]


class PromptFormer(nn.Module):
    """Cross-attention of patches over the attribute bank, feed-forward, pooling to m prompts.

    Parameters
    ----------
    width : int
        d, the image tower's width.
    embed_dim : int
        e, width of the bank's features.
    prompts : int
        m.
    heads : int
    rank : int
        r of LoRA.
    value_norm : bool
        Whether the layer norm is applied to values (it is not in the official code).
    lora_on_inputs : bool
        LoRA on the block's inputs (official code) instead of on W_q, W_k, W_v (paper).
    lora_zero_up : bool
    conditioning : {"multimodal", "image", "text"}
        Ablation (docs/method.md#conditioning): "image" takes keys and values from patches (no bank
        projection); "text" queries with m learned tokens, so prompts depend on the classes only.
    start : {"random", "patches"}
        "random" is the paper's: prompts are the block's output, from random initial weights.
        "patches" is ours: the block's output is added to the patches pooled to m tokens, and its
        two output maps start at zero, so an untrained PromptFormer gives pool(E), which hardly
        lowers accuracy.
    generator : torch.Generator
    shortcuts : Shortcuts, optional
        Optimisations to use; by default all.
    linear : LinearMap, optional
        Function that computes linear maps.
    """

    def __init__(
        self,
        *,
        width: int,
        embed_dim: int,
        prompts: int,
        heads: int,
        rank: int,
        value_norm: bool,
        lora_on_inputs: bool,
        lora_zero_up: bool,
        conditioning: Conditioning,
        start: Start,
        generator: torch.Generator,
        shortcuts: Shortcuts | None = None,
        linear: LinearMap = F.linear,
    ) -> None:
        super().__init__()
        self.prompts = prompts
        self.conditioning = conditioning
        self.lora_on_inputs = lora_on_inputs
        self.use_lora = False
        self.shortcuts = shortcuts or Shortcuts()
        self.attention = CrossAttention(
            width, heads, generator, value_norm=value_norm, linear=linear
        )
        self.feed_forward = GatedFeedForward(width, generator, linear)
        if conditioning != "image":
            self.bank = Linear(embed_dim, width, generator, linear)
        if conditioning == "text":
            self.queries = nn.Parameter(torch.randn(prompts, width, generator=generator) * 0.02)
        self.lora = LowRank(width, rank, generator, zero_up=lora_zero_up)
        self.from_patches = start == "patches"
        if self.from_patches:
            for last in (self.attention.output, self.feed_forward.contract):
                nn.init.zeros_(last.weight)
                nn.init.zeros_(last.bias)

    def _pool(self, tokens: Tensor) -> Tensor:
        """Average b tokens in raster order over m disjoint blocks, [B, b, x] → [B, m, x].

        If m does not divide b, the blocks overlap by the floor/ceil rule of adaptive pooling, here
        a matrix product: torch's own function has no deterministic gradient on a GPU.
        """
        count = tokens.shape[1]
        if count % self.prompts == 0:
            return torch.unflatten(tokens, 1, (self.prompts, -1)).mean(dim=2)
        place = torch.arange(count, device=tokens.device)
        number = torch.arange(self.prompts, device=tokens.device)[:, None]
        start, end = number * count // self.prompts, -((number + 1) * -count // self.prompts)
        member = ((place >= start) & (place < end)).to(tokens.dtype)
        return (member @ tokens) / member.sum(dim=1, keepdim=True)

    def forward(self, patches: Tensor, bank: Tensor) -> Tensor:
        """Return the prompts.

        Parameters
        ----------
        patches : Tensor of shape [B, b, d]
            E: patch embeddings with positions, before ln_pre.
        bank : Tensor of shape [n, e]
            A: features of the classes' attributes.

        Returns
        -------
        Tensor of shape [B, m, d], or [1, m, d] where prompts do not depend on the image: text
        conditioning from a random start
        """
        return self.begin(self.make(patches, bank), patches)

    def begin(self, made: Tensor, patches: Tensor) -> Tensor:
        """Return prompts from the block's output `made`, to which pooled patches may be added."""
        return self._pool(patches) + made if self.from_patches else made

    def make(self, patches: Tensor, bank: Tensor) -> Tensor:
        """Return the block's output for patches and bank, [B or 1, m, d]."""
        lora = self.lora if self.use_lora else None
        site = {"lora_on_inputs": self.lora_on_inputs}
        if self.conditioning == "text":
            attended = self.attention(self.queries, self.bank(bank), lora, **site)
            prompts: Tensor = self.feed_forward(attended)
            return prompts[None]
        if self.conditioning == "image":
            attended = self.attention(patches, patches, lora, **site)
        elif not self.shortcuts.shared_bank:
            every = self.bank(bank.expand(len(patches), -1, -1))
            attended = self.attention(patches, every, lora, **site)
        else:
            # Fold the batch into the query axis: one attention over one shared bank.
            attended = self.attention(patches.flatten(0, 1), self.bank(bank), lora, **site)
            attended = attended.unflatten(0, patches.shape[:2])
        if not self.shortcuts.pool_first:
            return self._pool(self.feed_forward(attended))
        return self.feed_forward.pooled(attended, self._pool)

    def weights(self, patches: Tensor, bank: Tensor) -> Tensor | None:
        """Return how much each patch attends to each bank text, [B, b, n].

        None where patches do not attend to texts.
        """
        if self.conditioning != "multimodal":
            return None
        return self.attention.weights(
            patches,
            self.bank(bank).expand(len(patches), -1, -1),
            self.lora if self.use_lora else None,
            lora_on_inputs=self.lora_on_inputs,
        )
