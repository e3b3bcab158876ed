"""CLIP's image tower with room for prompts.

Prompts are extra tokens at the END of the sequence, without a positional embedding. FedMVP, VPT
and MaPLe append them before ln_pre; the FedTPG repository's vision-language baseline appends them
after it; deep prompts replace the last m before a block (docs/method.md#prompted-image-encoder).

Shapes: B images, b patches, m prompts, d token width, e joint embedding.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedmvp.clip.blocks import Block, FrozenNorm
from fedmvp.clip.spec import BackboneSpec
from fedmvp.linear import LinearMap

__all__ = ["VisionTower"]


class _Blocks(nn.Module):
    """The stack of blocks, named as in open_clip (`transformer.resblocks.<i>`)."""

    def __init__(self, blocks: list[Block]) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(blocks)


class VisionTower(nn.Module):
    """A frozen ViT whose input gradient reaches the prompts.

    Parameters
    ----------
    spec : BackboneSpec
    cls_only : bool, default=True
        Compute only the CLS row of the last block where nothing else is read; equal up to rounding
        to the full computation.
    prompts_only : bool, default=True
        Keep no gradient graph of the first block's input but for the prompts; nothing else there
        depends on them.
    linear : LinearMap, optional
        What computes the blocks' linear maps.

    Attributes
    ----------
    all_tokens : bool
        Whether `forward` gives the features of all tokens (head `region` of many labels).
    """

    def __init__(
        self,
        spec: BackboneSpec,
        *,
        cls_only: bool = True,
        prompts_only: bool = True,
        linear: LinearMap = F.linear,
    ) -> None:
        super().__init__()
        vision = spec.vision
        self.cls_only = cls_only
        self.prompts_only = prompts_only
        self.all_tokens = False
        self.patches = vision.patches
        self.patch_size = vision.patch_size
        self.conv1 = nn.Conv2d(
            3, vision.width, vision.patch_size, stride=vision.patch_size, bias=False
        ).requires_grad_(False)
        frozen = {"requires_grad": False}
        self.class_embedding = nn.Parameter(torch.empty(vision.width), **frozen)
        self.positional_embedding = nn.Parameter(
            torch.empty(vision.patches + 1, vision.width), **frozen
        )
        self.ln_pre = FrozenNorm(vision.width) if vision.pre_norm else nn.Identity()
        self.transformer = _Blocks(
            [
                Block(
                    vision.width,
                    vision.heads,
                    vision.mlp_width,
                    quick_gelu=spec.quick_gelu,
                    linear=linear,
                )
                for _ in range(vision.layers)
            ]
        )
        self.ln_post = FrozenNorm(vision.width)
        self.proj = nn.Parameter(torch.empty(vision.width, spec.embed_dim), **frozen)

    @torch.no_grad()
    def embed(self, images: Tensor) -> Tensor:
        """Return tokens before ln_pre: CLS and patches with positional embedding.

        Parameters
        ----------
        images : Tensor of shape [B, 3, S, S]
            Normalised RGB.

        Returns
        -------
        Tensor of shape [B, 1 + b, d]
            X0 of docs/method.md#image-encoder, patches in raster order; without gradient: nothing
            below the prompts is trained.
        """
        patches = self.conv1(images).flatten(2).transpose(1, 2)
        cls = self.class_embedding.to(patches.dtype).expand(images.shape[0], 1, -1)
        return torch.cat([cls, patches], dim=1) + self.positional_embedding.to(patches.dtype)

    def forward(
        self,
        embedded: Tensor,
        prompts: Tensor | None = None,
        *,
        deep: Mapping[int, Tensor] | None = None,
        after_norm: bool = False,
    ) -> Tensor:
        """Return un-normalised image features.

        Parameters
        ----------
        embedded : Tensor of shape [B, 1 + b, d]
            What `embed` gave.
        prompts : Tensor of shape [B or 1, m, d], optional
        deep : mapping of block index to Tensor of shape [B or 1, m, d], optional
            Before that block the last m tokens are replaced.
        after_norm : bool, default=False
            Append `prompts` after ln_pre instead of before it.

        Returns
        -------
        Tensor of shape [B, e]
            With `all_tokens` the features of CLS and of every patch instead, image by image,
            [B · (1 + b), e]: what recognises regions.
        """
        if self.all_tokens:
            x = self._run(embedded, prompts, deep, after_norm, first_only=False)
            tokens: Tensor = self.ln_post(x[:, : 1 + self.patches]) @ self.proj
            return tokens.flatten(0, 1)
        x = self._run(embedded, prompts, deep, after_norm, first_only=self.cls_only)
        return self.ln_post(x[:, 0]) @ self.proj  # type: ignore[no-any-return]

    def tokens(self, embedded: Tensor) -> Tensor:
        """Return every un-prompted output token in the joint space, [B, 1 + b, e]."""
        return self.ln_post(self._run(embedded, None, None, False, first_only=False)) @ self.proj  # type: ignore[no-any-return]

    def _run(
        self,
        embedded: Tensor,
        prompts: Tensor | None,
        deep: Mapping[int, Tensor] | None,
        after_norm: bool,
        *,
        first_only: bool,
    ) -> Tensor:
        # Layer norm works token by token, so prompts may be normalised apart from the image.
        fixed: Tensor = self.ln_pre(embedded)
        own: Tensor | None = None
        x = fixed
        if prompts is not None:
            own = prompts.to(x.dtype).expand(x.shape[0], -1, -1)
            own = own if after_norm else self.ln_pre(own)
            x = torch.cat([fixed, own], dim=1)
        last = len(self.transformer.resblocks) - 1
        for index, block in enumerate(self.transformer.resblocks):
            assert isinstance(block, Block)
            if deep is not None and index in deep:
                replacement = deep[index].to(x.dtype).expand(x.shape[0], -1, -1)
                x = torch.cat([x[:, : -replacement.shape[1]], replacement], dim=1)
            elif index == 0 < last and self.prompts_only and own is not None and own.requires_grad:
                x = block.appended(fixed, own)
                continue
            x = block.first(x) if first_only and index == last else block(x)
        return x

    def features(self, images: Tensor) -> Tensor:
        """Return L2-normalised features of un-prompted images, [B, 3, S, S] → [B, e]."""
        return F.normalize(self(self.embed(images)), dim=-1)
