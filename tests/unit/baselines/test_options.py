"""What each baseline's section can change: sizes, starts, losses, refusals."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch

from fedmvp.clip.backbone import Backbone
from fedmvp.errors import ConfigError
from fedmvp.methods.fedmaple import FedMaPLe
from fedmvp.methods.fedtpg import FedTPG
from fedmvp.methods.fedvpt import FedVPT
from fedmvp.methods.promptfl import PromptFL
from tests.random_clip import backbone_spec
from tests.reference_baselines.methods import (
    cross_entropy,
    fedclip,
    fedvlp,
    scores,
)
from tests.reference_baselines.towers import image_tokens, text_feature
from tests.toys import NAMES, shake, toy_bank, toy_client
from tests.unit.baselines.started import TOLERANCE, create, gradients
from tests.unit.baselines.test_reference import client, doubles, gap, plain, spoken

pytestmark = pytest.mark.usefixtures("words")


@cache
def sizes() -> Backbone:
    """ViT-B/16 of full depth, its weights left as the memory was."""
    return Backbone(backbone_spec("vit_b16"))


@pytest.mark.parametrize(
    ("name", "trainable", "communicated"),
    [
        ("zero_shot", 0, 0),
        ("zero_shot_ensemble", 0, 0),
        ("zero_shot_attributes", 0, 0),
        ("zero_shot_combined", 0, 0),
        ("promptfl", 2_048, 2_048),
        ("fedkgcoop", 2_048, 2_048),
        ("fedcocoop", 35_360, 35_360),
        ("fedvpt", 3_072, 3_072),
        ("fedvpt_deep", 36_864, 36_864),
        ("fedvlp", 5_120, 5_120),
        ("fedmaple", 3_555_072, 3_555_072),
        ("fedtpg", 4_206_080, 4_206_080),
        ("fedclip", 525_312, 525_312),
        ("fedotp", 16_384, 8_192),
        ("fed_dualcoop", 16_384, 16_384),
        ("fedpgp", 12_416, 8_192),
        ("promptfolio", 16_384, 8_192),
        ("fedpha", 16_384, 8_192),
        ("pfedmoap", 74_240, 8_192),
        ("fedmgp", 12_800, 5_120),
        ("fedpromptsrc", 46_080, 46_080),
        ("fedprograd", 2_048, 2_048),
        ("fedplot", 32_768, 32_768),
        ("fedmvp", 9_845_760, 9_845_760),
    ],
)
def test_parameter_counts_on_vit_b16(name: str, trainable: int, communicated: int) -> None:
    """Published or calculated numbers, docs/method.md#sizes; weights play no part."""
    method = create(name, sizes())
    tensors = method.tensors()

    def count(names: list[str]) -> int:
        return sum(tensors[key].numel() for key in names)

    assert count(method.trainable(method.first_phase)) == trainable
    assert count(method.communicated(method.first_phase)) == communicated


@pytest.mark.parametrize(
    ("name", "section", "complaint"),
    [
        ("promptfl", {"n_context": 74}, "do not fit a text of 77 tokens"),
        ("promptfl", {"context_init": "a photo"}, "has 2 tokens, n_context is 4"),
        ("fedcocoop", {"reduction": 41}, "is more than the joint width 40"),
        ("fedvpt", {"depth": 4}, "more than the image tower's 3 blocks"),
        ("fedvlp", {"depth": 3}, "more than the 2 blocks both towers have"),
        ("fedmaple", {"n_context": 5}, "has 4 tokens, n_context is 5"),
        ("fedtpg", {"heads": 5}, "width 48 is not divisible by 5 heads"),
        ("fedtpg", {"depth": 3}, "more than the text tower's 2 blocks"),
        ("fedotp", {"n_context": 80}, "do not fit a text"),
        ("fedpgp", {"n_context": 80}, "do not fit a text"),
        ("fedpgp", {"contexts": 2}, "unknown key"),
        ("promptfolio", {"local_share": 1.5}, "less than or equal to 1"),
        ("fedpha", {"weak_share": 0}, "greater than 0"),
        ("pfedmoap", {"gate_heads": 7}, "gate_width 40 is not divisible by 7 heads"),
        ("pfedmoap", {"n_experts": 1}, "greater than or equal to 2"),
        ("fedmgp", {"n_context": 5}, "has 4 tokens, n_context is 5"),
        ("fedmgp", {"temperature": 0}, "greater than 0"),
        ("fedpromptsrc", {"templates": ["a photo"]}, "template must contain {} once"),
        ("fedpromptsrc", {"average_width": 0}, "greater than 0"),
        ("fedprograd", {"projection_weight": 2}, "less than or equal to 1"),
        ("fedplot", {"n_prompts": 0}, "greater than or equal to 1"),
        ("fedclip", {"template": "a picture"}, "template must contain {} once"),
        ("fedvpt", {"template": "{} and {}"}, "template must contain {} once"),
        ("fedkgcoop", {"knowledge_wait": 1}, "unknown key"),
    ],
)
def test_impossible_sizes_are_refused_in_one_line(
    tiny: Backbone, name: str, section: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        create(name, tiny, **section)
    assert complaint in str(caught.value)
    assert f"methods.{name}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_context_starts_at_words(tiny: Backbone) -> None:
    method = create("promptfl", tiny, context_init="a photo of a")
    assert isinstance(method, PromptFL)
    ids = plain(tiny).tokenize("a photo of a")[1:5]
    assert torch.equal(method.context, tiny.text.token_embedding.weight[list(ids)])
    # Starting there, the classes' texts are the hand template's.
    classes = toy_bank(tiny).select(NAMES)
    with torch.no_grad():
        assert gap(method.text_features(classes), classes.single("template")) <= TOLERANCE


def test_maple_starts_at_the_first_words_and_keeps_the_others(tiny: Backbone) -> None:
    method = create("fedmaple", tiny, depth=1)
    assert isinstance(method, FedMaPLe)
    assert method.context.shape == (2, 48)
    assert method.deep.shape == (0, 2, 48)
    classes = toy_bank(tiny).select(NAMES)
    with torch.no_grad():
        assert gap(method.text_features(classes), classes.single("template")) <= TOLERANCE


def test_maple_is_as_deep_as_the_shallower_tower(tiny: Backbone) -> None:
    method = create("fedmaple", tiny)
    assert isinstance(method, FedMaPLe)
    assert len(method.deep) + 1 == 2 == len(method.couplers)  # 2 text blocks, 3 of the image


def test_deep_couplers_start_as_clones(picto: Backbone) -> None:
    tensors = create("fedmaple", picto).tensors()
    assert torch.equal(tensors["couplers.1.weight"], tensors["couplers.3.weight"])
    assert not torch.equal(tensors["couplers.0.weight"], tensors["couplers.1.weight"])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("promptfl", 0.02),
        ("fedvpt", 0.02),
        ("fedvlp", 0.02),
        ("fedotp", 0.02),
        ("promptfolio", 0.02),
        ("fedpha", 0.02),
        ("fedplot", 0.02),
    ],
)
def test_prompts_start_with_a_deviation_of_one_fiftieth(
    vit_b16: Backbone, name: str, expected: float
) -> None:
    for tensor in doubles(create(name, vit_b16)).values():
        # Standard error of a deviation: s / √(2n), n ≥ 2048.
        assert float(tensor.std()) == pytest.approx(expected, abs=4 * expected / 64)
        assert abs(float(tensor.mean())) < 4 * expected / 45


def test_vpt_uniform_start(vit_b16: Backbone) -> None:
    """±√(6 / (3·16·16 + 768)) = ±0.0625."""
    method = create("fedvpt_deep", vit_b16, init="vpt_uniform")
    assert isinstance(method, FedVPT)
    assert 0.0620 < float(method.prompt.detach().abs().max()) <= 0.0625


def test_depth_of_vpt(tiny: Backbone) -> None:
    assert create("fedvpt", tiny, depth=2).tensors()["prompt"].shape == (2, 4, 64)
    assert create("fedvpt_deep", tiny).tensors()["prompt"].shape == (3, 4, 64)


def test_joint_width_other_than_the_texts_is_projected(tiny: Backbone, picto: Backbone) -> None:
    assert create("fedtpg", tiny).tensors()["project.weight"].shape == (48, 40)
    assert not any(name.startswith("project") for name in create("fedtpg", picto).tensors())


def test_tpg_replaces_deeper_contexts_before_their_own_block(tiny: Backbone) -> None:
    method = create("fedtpg", tiny, depth=2, n_context=3)
    assert isinstance(method, FedTPG)
    shake(method)
    classes = toy_bank(tiny).select(NAMES[:2])
    model = plain(tiny)
    with torch.no_grad():
        first, second = method.context(classes).double()
        ours = method.text_features(classes)
        reference = [
            text_feature(f"X X X {name}.", model, words=first, replaced={1: second})
            for name in spoken(classes.names)
        ]
    assert gap(ours, torch.stack(reference)) <= TOLERANCE


def test_vlp_of_two_blocks(tiny: Backbone) -> None:
    method = create("fedvlp", tiny, depth=2)
    shake(method)
    data, model, state = client(tiny, 1), plain(tiny), doubles(method)
    with torch.no_grad():
        ours = method.logits(tiny.normalise(data.images), data.classes)[0]
        image = tiny.normalise(data.images)[0].double()
        reference = fedvlp(image, state, spoken(data.classes.names), model)
    assert gap(ours, reference) <= TOLERANCE


def test_fedclip_with_cross_entropy(tiny: Backbone) -> None:
    method = create("fedclip", tiny, loss="ce")
    shake(method)
    total, _ = gradients(method, tiny)
    data, model, state = toy_client(toy_bank(tiny), NAMES[:4], 1), plain(tiny), doubles(method)
    images = tiny.normalise(data.images).double()
    with torch.no_grad():
        parts = [
            cross_entropy(fedclip(image, state, spoken(data.classes.names), model), int(label))
            for image, label in zip(images, data.labels, strict=True)
        ]
    assert gap(total, sum(parts[1:], parts[0]) / 4) <= TOLERANCE


def test_fedclip_learns_nothing_of_a_single_image(tiny: Backbone) -> None:
    method = create("fedclip", tiny)
    data = client(tiny, 1)
    batch = data.batch(torch.tensor([0]).numpy(), torch.Generator())
    total = method.loss(batch, data.classes).total
    slopes = torch.autograd.grad(total, list(method.tensors().values()))
    assert float(total.detach()) == 0
    assert all(bool((slope == 0).all()) for slope in slopes)


def test_image_tokens_of_the_reference_are_the_towers(tiny: Backbone) -> None:
    """The reference sees what it should: prompts change its features."""
    data, model = client(tiny, 1), plain(tiny)
    image = tiny.normalise(data.images)[0].double()
    bare = image_tokens(image, model)[0]
    prompt = torch.randn(2, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert gap(image_tokens(image, model, before_norm=prompt)[0], bare) > 1e-2
    assert len(scores(bare, [bare], model)) == 1


@pytest.mark.slow  # imports open_clip
def test_placeholders_are_one_token_each_in_clips_vocabulary() -> None:
    from fedmvp.clip.tokens import import_tokenizer

    ids = import_tokenizer(77)(["X X X X red fox.", "red fox.", "a photo of a red fox."]).tolist()
    assert len(set(ids[0][1:5])) == 1
    assert ids[0][5:8] == ids[1][1:4] == ids[2][5:8]
