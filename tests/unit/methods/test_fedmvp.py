"""What FedMVP promises beside its formulas: counts, phases, payloads, switches, ablations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from fedmvp.clip.backbone import Backbone
from fedmvp.methods.base import Batch, Method, RoundLosses
from fedmvp.methods.build import build_method
from fedmvp.methods.classes import TextBank
from fedmvp.methods.fedmvp import FedMVPParams
from tests.random_clip import random_backbone
from tests.toys import NAMES, fedmvp, toy_client

pytestmark = pytest.mark.usefixtures("words")


def count(method: Method, names: list[str]) -> int:
    tensors = method.tensors()
    return sum(tensors[name].numel() for name in names)


@pytest.fixture(scope="module")
def full_size(backbone: Callable[..., Backbone]) -> Backbone:
    """ViT-B/16's widths; the depth does not matter to the counts."""
    return backbone("vit_b16", layers=1)


@pytest.mark.parametrize(
    ("params", "trained", "lora_trained", "lora_sent"),
    [
        ({"variant": "paper"}, 9_845_760, 36_864, 36_864),
        ({"variant": "official-code"}, 9_845_760, 430_848, 9_882_624),
        ({"start": "patches"}, 9_845_760, 36_864, 36_864),
        ({"conditioning": "image"}, 9_451_776, 36_864, 36_864),
        ({"conditioning": "text"}, 9_848_832, 36_864, 36_864),
        ({"rank": 4}, 9_845_760, 18_432, 18_432),
        # The bank projection is trained and therefore sent: 36,864 + 393,984.
        ({"lora_trains_linear": True}, 9_845_760, 430_848, 430_848),
    ],
)
def test_parameter_counts(
    full_size: Backbone, params: dict[str, Any], trained: int, lora_trained: int, lora_sent: int
) -> None:
    """docs/method.md#sizes; 9,845,760 / 36,864 = 267.08, the paper's 267x."""
    method = fedmvp(full_size, shaken=False, **params)
    assert count(method, method.trainable("promptformer")) == trained
    assert count(method, method.trainable("lora")) == lora_trained
    assert count(method, method.communicated("lora")) == lora_sent
    if params == {"variant": "paper"}:
        assert round(trained / lora_sent, 2) == 267.08
        assert count(method, method.communicated("promptformer")) == trained


def test_deep_prompts(tiny: Backbone, bank: TextBank) -> None:
    """Each further block adds m learned tokens, which are trained, sent and matter."""
    shallow, deep = (fedmvp(tiny, shaken=False, depth=depth) for depth in (1, "all"))
    spec = tiny.spec.vision
    more = set(deep.tensors()) - set(shallow.tensors())
    assert more == {"deep"} <= set(deep.trainable("promptformer"))
    assert deep.tensors()["deep"].shape == (spec.layers - 1, 4, spec.width)
    assert "deep" not in deep.trainable("lora")
    data = toy_client(bank, NAMES[:3], per_class=1)
    images = tiny.normalise(data.images)
    with torch.no_grad():
        assert torch.equal(*(method.prompts(images, data.classes) for method in (shallow, deep)))
        logits = [method.logits(images, data.classes) for method in (shallow, deep)]
    assert not torch.allclose(*logits, atol=1e-2)
    with pytest.raises(ValueError, match="depth 9 is more than the image tower's"):
        fedmvp(tiny, depth=9)


def test_every_trained_tensor_is_sent(tiny: Backbone) -> None:
    """No flag may leave a tensor trained on a client that the server never hears of."""
    from itertools import product

    for payload, linear, conditioning in product(
        ("lora", "full"), (False, True), ("multimodal", "image", "text")
    ):
        method = fedmvp(
            tiny, lora_payload=payload, lora_trains_linear=linear, conditioning=conditioning
        )
        for phase in ("promptformer", "lora"):
            assert set(method.trainable(phase)) <= set(method.communicated(phase))
            assert set(method.trainable(phase)) <= set(method.downloaded(phase))


def test_downloads(tiny: Backbone) -> None:
    """A client that uses LoRA needs it and the PromptFormer; others the PromptFormer alone."""
    method = fedmvp(tiny)
    lora = {name for name in method.tensors() if ".lora." in name}
    assert set(method.downloaded("promptformer")) == set(method.tensors()) - lora
    assert set(method.downloaded("lora")) == set(method.tensors())


@pytest.mark.parametrize(
    ("params", "identical"),
    [
        ({"variant": "paper"}, True),
        ({"variant": "official-code"}, False),
        ({"start": "patches"}, True),
    ],
)
def test_switching_lora_on(
    tiny: Backbone, bank: TextBank, params: dict[str, Any], identical: bool
) -> None:
    """Paper: the up factor starts at zero, so nothing jumps. Official: it does."""
    method = fedmvp(tiny, shaken=False, **params)
    data = toy_client(bank, NAMES[:3], per_class=1)
    images = tiny.normalise(data.images)
    logits = []
    with torch.no_grad():
        for phase in ("promptformer", "lora"):
            method.enter(phase)
            logits.append(method.logits(images, data.classes))
    assert torch.equal(*logits) == identical


@pytest.mark.parametrize(
    ("params", "used"),
    [
        ({"variant": "paper"}, True),
        ({"variant": "official-code"}, False),
        ({"variant": "official-code", "lora_eval": True}, True),
        ({"variant": "paper", "lora_eval": False}, False),
        # Never trained, so never used: with random factors it would be noise.
        ({"variant": "paper", "lora_init": "gauss", "switch_loss": None}, False),
    ],
)
def test_lora_at_evaluation(tiny: Backbone, params: dict[str, Any], used: bool) -> None:
    method = fedmvp(tiny, **params)
    method.enter(None)
    assert method.promptformer.use_lora is used


@pytest.mark.parametrize(
    ("variant", "local", "phase"),
    [
        ("paper", RoundLosses(0.4, 0.9), "lora"),
        ("paper", RoundLosses(0.9, 0.4), "promptformer"),
        ("official-code", RoundLosses(0.4, 0.9), "promptformer"),
        ("official-code", RoundLosses(0.9, 0.4), "lora"),
        ("paper", RoundLosses(0.5, 0.5), "promptformer"),
    ],
)
def test_trigger(tiny: Backbone, variant: str, local: RoundLosses, phase: str) -> None:
    """Below sigma = 0.5: the epoch's mean in the paper, the last batch in the official code."""
    method = fedmvp(tiny, variant=variant)
    assert method.next_phase("promptformer", local) == phase
    assert method.next_phase("lora", RoundLosses(9, 9)) == "lora"  # sticky


def test_no_lora_ablation(tiny: Backbone) -> None:
    method = fedmvp(tiny, switch_loss=None)
    assert method.next_phase("promptformer", RoundLosses(-1, -1)) == "promptformer"


def test_no_consistency_ablation(tiny: Backbone, bank: TextBank) -> None:
    """alpha = 0 skips the frozen pass: `frozen` is never called."""
    data = toy_client(bank, NAMES[:3], per_class=1)
    batch = data.batch(np.arange(3), torch.Generator())

    def forbidden(flips: torch.Tensor) -> torch.Tensor:
        raise AssertionError("the frozen tower ran")

    batch = Batch(batch.images, batch.labels, forbidden, batch.generator)
    loss = fedmvp(tiny, consistency_weight=0).loss(batch, data.classes)
    assert set(loss.parts) == {"loss_ce"}
    assert torch.equal(loss.total, loss.parts["loss_ce"])


def test_text_conditioning_gives_every_image_the_same_prompts(
    tiny: Backbone, bank: TextBank
) -> None:
    method = fedmvp(tiny, conditioning="text")
    data = toy_client(bank, NAMES[:3], per_class=1)
    images = tiny.normalise(data.images)
    with torch.no_grad():
        prompts = method.prompts(images, data.classes)
        assert prompts.shape == (1, 4, 64)
        other = method.prompts(images, bank.select(NAMES[3:5]))
        assert not torch.equal(prompts, other)  # they depend on the classes
        assert method.logits(images, data.classes).shape == (3, 3)
    assert method.explain(images, data.classes) is None


def test_image_conditioning_does_not_see_the_bank(tiny: Backbone, bank: TextBank) -> None:
    method = fedmvp(tiny, conditioning="image")
    images = tiny.normalise(toy_client(bank, NAMES[:3], per_class=1).images)
    with torch.no_grad():
        one, other = (
            method.prompts(images, bank.select(names)) for names in (NAMES[:2], NAMES[4:])
        )
    assert torch.equal(one, other)
    assert not torch.equal(one[0], one[1])
    assert not any(name.startswith("promptformer.bank") for name in method.tensors())


def test_initial_tensors_come_from_the_seed(tiny: Backbone) -> None:
    """Limits of docs/method.md#initial-values: Xavier on [3d, d], U(±1/√inputs), N(0, 0.02²)."""
    first, again, other = (
        build_method("fedmvp", tiny, FedMVPParams(), seed).tensors() for seed in (1, 1, 2)
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["promptformer.bank.weight"], other["promptformer.bank.weight"])
    d, e = 64, 40
    bounds = {
        "promptformer.attention.query_weight": (6 / (4 * d)) ** 0.5,
        "promptformer.attention.key_weight": (6 / (4 * d)) ** 0.5,
        "promptformer.attention.output.weight": d**-0.5,
        "promptformer.feed_forward.expand.weight": d**-0.5,
        "promptformer.feed_forward.expand.bias": d**-0.5,
        "promptformer.feed_forward.contract.weight": (4 * d) ** -0.5,
        "promptformer.bank.weight": e**-0.5,
        "promptformer.bank.bias": e**-0.5,
    }
    for name, bound in bounds.items():
        assert 0.9 * bound < float(first[name].detach().abs().max()) <= bound, name
    for name in ("query_bias", "key_bias", "value_bias", "output.bias"):
        assert not first[f"promptformer.attention.{name}"].any()
    assert 0.015 < float(first["promptformer.lora.query_a"].detach().std()) < 0.025
    assert not first["promptformer.lora.query_b"].any()


def test_explanation_is_an_average_over_heads(tiny: Backbone, bank: TextBank) -> None:
    method = fedmvp(tiny)
    data = toy_client(bank, NAMES[:3], per_class=1)
    weights = method.explain(tiny.normalise(data.images), data.classes)
    assert weights.shape == (3, 16, 14)
    assert weights.sum(dim=-1).flatten().tolist() == pytest.approx([1.0] * 48, abs=1e-5)
    for source in ("names", "random"):
        other = fedmvp(tiny, attr_bank=source)
        assert other.explain(tiny.normalise(data.images), data.classes) is None


def test_widths_come_from_the_backbone() -> None:
    for shape in ("tiny", "picto"):
        shaped = random_backbone(shape, layers=1)
        tensors = fedmvp(shaped).tensors()
        assert tensors["promptformer.bank.weight"].shape == (
            shaped.spec.vision.width,
            shaped.spec.embed_dim,
        )
