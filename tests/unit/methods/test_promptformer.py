"""Pooling and the shared bank."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fedmvp.methods.cross_attention import CrossAttention, GatedFeedForward
from fedmvp.methods.promptformer import Conditioning, PromptFormer, Start
from tests.reference.fedmvp import bins


def promptformer(
    prompts: int = 4,
    width: int = 8,
    conditioning: Conditioning = "multimodal",
    start: Start = "random",
) -> PromptFormer:
    return PromptFormer(
        width=width,
        embed_dim=6,
        prompts=prompts,
        heads=2,
        rank=2,
        value_norm=False,
        lora_on_inputs=False,
        lora_zero_up=True,
        conditioning=conditioning,
        start=start,
        generator=torch.Generator().manual_seed(0),
    )


def test_ramp_on_the_14_by_14_grid() -> None:
    """Prompt i is the mean of tokens 49 i to 49 i + 48: 24 + 49 i on a ramp (docs/method.md)."""
    ramp = torch.arange(196.0)[None, :, None]
    assert promptformer()._pool(ramp).flatten().tolist() == [24.0, 73.0, 122.0, 171.0]


def test_ramp_on_the_16_by_16_grid() -> None:
    """256 tokens make four blocks of 64: means 31.5 + 64 i."""
    ramp = torch.arange(256.0)[None, :, None]
    assert promptformer()._pool(ramp).flatten().tolist() == [31.5, 95.5, 159.5, 223.5]


def test_overlapping_bins_of_vit_b32() -> None:
    """49 tokens: [0, 13), [12, 25), [24, 37), [36, 49); means of a ramp are 6, 18, 30, 42."""
    assert bins(49, 4) == [(0, 13), (12, 25), (24, 37), (36, 49)]
    ramp = torch.arange(49.0)[None, :, None]
    assert promptformer()._pool(ramp).flatten().tolist() == [6.0, 18.0, 30.0, 42.0]


@pytest.mark.parametrize(("tokens", "prompts"), [(49, 4), (10, 3), (7, 5), (3, 5), (16, 16)])
def test_adaptive_pooling(tokens: int, prompts: int) -> None:
    values = torch.randn(2, tokens, 3, generator=torch.Generator().manual_seed(0))
    pooled = promptformer(prompts)._pool(values)
    for i, (first, last) in enumerate(bins(tokens, prompts)):
        assert torch.allclose(pooled[:, i], values[:, first:last].mean(dim=1), atol=1e-6)


def test_each_image_is_computed_as_if_alone() -> None:
    """Folding the batch into the query axis leaks nothing from image to image."""
    former = promptformer()
    draw = torch.Generator().manual_seed(1)
    patches, bank = torch.randn(3, 12, 8, generator=draw), torch.randn(5, 6, generator=draw)
    together = former(patches, bank)
    alone = torch.cat([former(image[None], bank) for image in patches])
    assert together.shape == (3, 4, 8)
    assert (together - alone).abs().max() <= 1e-6


def test_order_of_the_bank_is_irrelevant() -> None:
    former = promptformer()
    draw = torch.Generator().manual_seed(1)
    patches, bank = torch.randn(2, 12, 8, generator=draw), torch.randn(5, 6, generator=draw)
    turned = former(patches, bank.flip(0))
    assert (former(patches, bank) - turned).abs().max() <= 1e-6


def test_pooling_commutes_with_the_last_linear_map() -> None:
    feed = GatedFeedForward(8, torch.Generator().manual_seed(0))
    y = torch.randn(2, 12, 8, generator=torch.Generator().manual_seed(1))
    pool = promptformer()._pool
    assert (feed.pooled(y, pool) - pool(feed(y))).abs().max() <= 1e-6


def test_attention_weights_belong_to_the_attention() -> None:
    """With one head the output is the weights times the values."""
    block = CrossAttention(8, 1, torch.Generator().manual_seed(0), value_norm=True)
    draw = torch.Generator().manual_seed(1)
    queries, context = torch.randn(4, 8, generator=draw), torch.randn(6, 8, generator=draw)
    _, _, value = block.paths(queries, context)
    mixed = block.output(block.weights(queries, context) @ value[0])
    assert (block(queries, context) - mixed).abs().max() <= 1e-6


@pytest.mark.parametrize("conditioning", ["multimodal", "image", "text"])
def test_attention_has_the_axes_that_fused_kernels_ask_for(
    conditioning: Conditioning, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU three axes may mean the plain formula, which writes every weight to memory."""
    axes: list[int] = []
    attend = F.scaled_dot_product_attention

    def recorded(*parts: Tensor) -> Tensor:
        axes.extend(part.dim() for part in parts)
        return attend(*parts)

    monkeypatch.setattr(F, "scaled_dot_product_attention", recorded)
    made = promptformer(conditioning=conditioning)
    made(torch.zeros(2, 16, 8), torch.zeros(3, 6))
    assert axes == [4, 4, 4]
