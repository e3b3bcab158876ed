"""Our towers against the plain reference, and the properties prompts rely on."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from fedmvp.clip.backbone import Backbone
from fedmvp.clip.text import end_of_text
from tests.bridge import reference_clip
from tests.random_clip import WordTokenizer, random_backbone
from tests.reference.encoders import embed_image, image_feature, text_feature
from tests.toys import toy_images

TEXTS = ["a photo of a kite.", "owl", "a small round striped thing, of glass, with a long handle"]


def images_of(backbone: Backbone, count: int = 2) -> torch.Tensor:
    return backbone.normalise(toy_images(backbone, range(count)))


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ("tiny", {}),
        ("tiny", {"quick_gelu": True}),
        ("tiny", {"pre_norm": False}),
        ("picto", {}),
        ("vit_b16", {"layers": 1, "quick_gelu": True}),
    ],
)
def test_both_towers_match_the_reference(shape: str, options: dict[str, object]) -> None:
    backbone = random_backbone(shape, **options)
    clip = reference_clip(backbone)
    images = images_of(backbone, 1)
    embedded = embed_image(images[0].double(), clip.weights, clip.sizes)
    assert (backbone.vision.embed(images)[0] - embedded).abs().max() <= 1e-5
    expected = image_feature(embedded, None, clip.weights, clip.sizes)
    assert (backbone.vision.features(images)[0] - expected).abs().max() <= 1e-5
    ids = WordTokenizer(77)(TEXTS[:2])
    expected = torch.stack([text_feature(row, clip.weights, clip.sizes) for row in ids])
    assert (backbone.text.features(ids) - expected).abs().max() <= 1e-5


def test_patches_are_in_raster_order(tiny: Backbone) -> None:
    """Changing the patch in row 1, column 2 of the 4 x 4 grid changes token 1 + 6 only."""
    images = images_of(tiny, 1)
    other = images.clone()
    other[0, :, 8:16, 16:24] += 1
    changed = (tiny.vision.embed(images) != tiny.vision.embed(other)).any(dim=-1)[0]
    assert changed.nonzero().flatten().tolist() == [1 + 6]


def test_no_prompts_and_zero_prompts_are_the_plain_tower(tiny: Backbone) -> None:
    embedded = tiny.vision.embed(images_of(tiny))
    nothing = torch.zeros(1, 0, 64)
    assert torch.equal(tiny.vision(embedded), tiny.vision(embedded, nothing))
    assert torch.equal(tiny.vision(embedded), tiny.vision(embedded, nothing, after_norm=True))


@pytest.mark.parametrize("shape", ["tiny", "picto"])
def test_cls_only_equals_the_full_tower(shape: str) -> None:
    backbone = random_backbone(shape)
    embedded = backbone.vision.embed(images_of(backbone))
    prompts = torch.randn(2, 4, embedded.shape[-1], generator=torch.Generator().manual_seed(1))
    quick = backbone.vision(embedded, prompts)
    backbone.vision.cls_only = False
    full = backbone.vision(embedded, prompts)
    assert (quick - full).abs().max() <= 1e-5
    assert (backbone.vision.tokens(embedded)[:, 0] - backbone.vision(embedded)).abs().max() <= 1e-5


def test_prompts_are_appended_before_or_after_ln_pre(tiny: Backbone) -> None:
    embedded = tiny.vision.embed(images_of(tiny))
    prompts = torch.randn(1, 3, 64, generator=torch.Generator().manual_seed(1))
    before = tiny.vision(embedded, prompts)
    normed = tiny.vision(embedded, tiny.vision.ln_pre(prompts), after_norm=True)
    assert (before - normed).abs().max() <= 1e-6
    assert (before - tiny.vision(embedded, prompts, after_norm=True)).abs().max() > 1e-3


def test_attention_has_no_order_among_prompts(tiny: Backbone) -> None:
    """Prompts carry no position, so order is irrelevant (docs/method.md#prompted-image-encoder)."""
    embedded = tiny.vision.embed(images_of(tiny))
    prompts = torch.randn(2, 4, 64, generator=torch.Generator().manual_seed(1))
    turned = tiny.vision(embedded, prompts.flip(1))
    assert (tiny.vision(embedded, prompts) - turned).abs().max() <= 1e-5


def test_deep_prompts_replace_the_last_tokens(tiny: Backbone) -> None:
    """Replacing at block 0 makes the first prompts irrelevant; at block 1 it does not."""
    embedded = tiny.vision.embed(images_of(tiny))
    draw = torch.Generator().manual_seed(1)
    first, second, deep = (torch.randn(1, 2, 64, generator=draw) for _ in range(3))

    def run(prompts: torch.Tensor, block: int) -> torch.Tensor:
        return tiny.vision(embedded, prompts, deep={block: deep})

    assert torch.equal(run(first, 0), run(second, 0))
    assert torch.equal(run(first, 0), tiny.vision(embedded, deep, after_norm=True))
    assert (run(first, 1) - run(second, 1)).abs().max() > 1e-4


def test_gradient_reaches_prompts_and_no_weight(tiny: Backbone) -> None:
    prompts = torch.zeros(1, 2, 64, requires_grad=True)
    tiny.vision(tiny.vision.embed(images_of(tiny)), prompts).sum().backward()
    assert prompts.grad is not None and prompts.grad.abs().min() > 0
    assert all(not p.requires_grad and p.grad is None for p in tiny.parameters())


def test_text_features_do_not_depend_on_padding_or_neighbours(tiny: Backbone) -> None:
    ids = WordTokenizer(77)(TEXTS)
    together = tiny.text.features(ids)
    alone = torch.cat([tiny.text.features(row[None]) for row in ids])
    in_chunks = tiny.text.features(ids, chunk=2)
    untrimmed = tiny.text(tiny.text.embed(ids), end_of_text(ids))
    untrimmed = untrimmed / untrimmed.norm(dim=-1, keepdim=True)
    assert len(set(end_of_text(ids).tolist())) > 1
    assert (together - alone).abs().max() <= 1e-6
    assert (in_chunks - alone).abs().max() <= 1e-6
    assert (together - untrimmed).abs().max() <= 1e-6


def test_end_of_text_comes_from_the_ids() -> None:
    assert end_of_text(WordTokenizer(77)(["owl", "a red kite"])).tolist() == [2, 4]


def test_text_from_embeddings(tiny: Backbone) -> None:
    """`positioned`, deep prompts and recomputation are options of one function."""
    ids = WordTokenizer(77)(TEXTS)
    end, embeddings = end_of_text(ids), tiny.text.embed(ids)
    plain = tiny.text(embeddings, end)
    positioned = embeddings + tiny.text.positional_embedding
    assert torch.equal(plain, tiny.text(positioned, end, positioned=True))
    # Token 1 of block 0's input, put there a second time, changes nothing.
    same = {0: positioned[:, 1:2]}
    assert torch.equal(plain, tiny.text(embeddings, end, deep=same))
    other = {1: torch.zeros(1, 1, 48)}
    assert (plain - tiny.text(embeddings, end, deep=other)).abs().max() > 1e-3


@pytest.mark.slow
def test_saving_memory_gives_the_same_gradient(tiny: Backbone) -> None:
    ids = WordTokenizer(77)(TEXTS)
    end = end_of_text(ids)
    slopes = []
    for save_memory in (False, True):
        embeddings = tiny.text.embed(ids).requires_grad_()
        tiny.text(embeddings, end, save_memory=save_memory).sum().backward()
        slopes.append(embeddings.grad)
    assert torch.equal(slopes[0], slopes[1])


def test_later_tokens_are_hidden(tiny: Backbone) -> None:
    """The causal mask: what stands after the end-of-text token has no influence."""
    ids = WordTokenizer(77)(TEXTS[:1])
    end = end_of_text(ids)
    other = ids.clone()
    other[0, int(end) + 1 :] = 7
    plain, changed = (tiny.text(tiny.text.embed(x), end) for x in (ids, other))
    assert torch.equal(plain, changed)


def test_the_vit_b16_parameter_count(backbone: Callable[..., Backbone]) -> None:
    """149,620,737 parameters of the whole CLIP (docs/method.md#sizes).

    Ours has two of twelve blocks and 1,000 of 49,408 tokens. A block of width d holds 12 d² + 13 d.
    """
    short = sum(p.numel() for p in backbone("vit_b16", layers=2, quick_gelu=True).parameters())
    blocks = 10 * sum(12 * d * d + 13 * d for d in (768, 512))
    assert short + blocks + (49408 - 1000) * 512 == 149_620_737
