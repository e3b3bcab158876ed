"""What each baseline's section can change: sizes, starts, losses, chunks, refusals."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from fedmvp.clip.backbone import Backbone
from fedmvp.errors import ConfigError
from fedmvp.methods.base import Batch, Method
from fedmvp.methods.build import build_method, method_params
from fedmvp.methods.fedcocoop import FedCoCoOp
from fedmvp.methods.fedmaple import FedMaPLe
from fedmvp.methods.fedotp import FedOTP
from fedmvp.methods.fedtpg import FedTPG
from fedmvp.methods.fedvpt import FedVPT
from fedmvp.methods.promptfl import PromptFL
from fedmvp.methods.transport import transport_plan
from tests.random_clip import backbone_spec
from tests.reference_baselines.methods import (
    cross_entropy,
    fedclip,
    fedvlp,
    partial_transport,
    scores,
)
from tests.reference_baselines.towers import image_tokens, text_feature
from tests.toys import NAMES, shake, toy_bank, toy_client
from tests.unit.baselines.test_reference import client, doubles, gap, plain, spoken

pytestmark = pytest.mark.usefixtures("words")

TOLERANCE = 1e-5
Shape = Callable[..., Backbone]


def create(name: str, backbone: Backbone, **section: Any) -> Method:
    return build_method(name, backbone, method_params(name, section), seed=1)


@cache
def sizes() -> Backbone:
    """ViT-B/16 of full depth, its weights left as the memory was."""
    return Backbone(backbone_spec("vit_b16"))


def gradients(method: Method, backbone: Backbone) -> tuple[Tensor, list[Tensor]]:
    """Return the loss of a batch of four classes and its gradients."""
    data = toy_client(toy_bank(backbone), NAMES[:4], per_class=1)
    images = backbone.normalise(data.images)
    features = backbone.frozen_features([images])
    batch = Batch(images, data.labels, lambda flips: features, torch.Generator())
    method.enter(method.first_phase)
    total = method.loss(batch, data.classes).total
    return total, list(torch.autograd.grad(total, list(method.tensors().values())))


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
        ("fedmvp", 9_845_760, 9_845_760),
    ],
)
def test_parameter_counts_on_vit_b16(name: str, trainable: int, communicated: int) -> None:
    """Published or calculated numbers, facts/methods.md §1.5; weights play no part."""
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
        ("fedcocoop", {"reduction": 41}, "leaves no unit of the joint width 40"),
        ("fedvpt", {"depth": 4}, "more than the image tower's 3 blocks"),
        ("fedvlp", {"depth": 3}, "more than the 2 blocks both towers have"),
        ("fedmaple", {"n_context": 5}, "has 4 tokens, n_context is 5"),
        ("fedtpg", {"heads": 5}, "width 48 is not divisible by 5 heads"),
        ("fedtpg", {"depth": 3}, "more than the text tower's 2 blocks"),
        ("fedotp", {"n_context": 80}, "do not fit a text"),
        ("fedclip", {"template": "a picture"}, "template must hold {} once"),
        ("fedvpt", {"template": "{} and {}"}, "template must hold {} once"),
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
    [("promptfl", 0.02), ("fedvpt", 0.02), ("fedvlp", 0.02), ("fedotp", 0.02)],
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


@pytest.mark.slow  # torch's checkpointing imports its compiler
@pytest.mark.parametrize(
    "name", ["promptfl", "fedkgcoop", "fedvlp", "fedmaple", "fedtpg", "fedotp"]
)
def test_chunks_of_texts_change_nothing(tiny: Backbone, name: str) -> None:
    """Values and gradients with one pass per class equal those of one pass for all."""
    whole, chunked = create(name, tiny), create(name, tiny, text_chunk=1)
    (total, slopes), (other, others) = gradients(whole, tiny), gradients(chunked, tiny)
    assert gap(total, other) <= TOLERANCE
    for slope, same in zip(slopes, others, strict=True):
        assert gap(slope, same) <= TOLERANCE


@pytest.mark.slow
def test_chunks_keep_only_their_inputs(tiny: Backbone) -> None:
    """With gradient, several passes of the text tower keep less than a single one."""
    classes = toy_bank(tiny).select(NAMES)

    def kept(chunk: int) -> int:
        method = create("promptfl", tiny, text_chunk=chunk)
        assert isinstance(method, PromptFL)
        return saved_bytes(lambda: method.text_features(classes))

    assert kept(4) < kept(8) / 10


def saved_bytes(compute: Callable[[], Tensor]) -> int:
    """Return the bytes autograd keeps for the backward pass, parameters of the towers aside."""
    storages: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, torch.nn.Parameter):
            storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        out = compute()
    del out
    return sum(storages.values())


@pytest.mark.slow
@pytest.mark.parametrize("budget", [1e-6, 0.2, 1024.0])
def test_cocoop_is_the_same_in_any_budget(tiny: Backbone, budget: float) -> None:
    free, bound = create("fedcocoop", tiny), create("fedcocoop", tiny, memory_budget_mib=budget)
    (total, slopes), (other, others) = gradients(free, tiny), gradients(bound, tiny)
    assert gap(total, other) <= TOLERANCE
    for slope, same in zip(slopes, others, strict=True):
        assert gap(slope, same) <= TOLERANCE


@pytest.mark.parametrize("shape", ["tiny", "picto"])
def test_cocoop_stays_within_its_budget(request: pytest.FixtureRequest, shape: str) -> None:
    """What one pass keeps for its backward pass, measured, fits the budget."""
    backbone: Backbone = request.getfixturevalue(shape)
    method = create("fedcocoop", backbone, memory_budget_mib=8.0)
    assert isinstance(method, FedCoCoOp)
    classes = toy_bank(backbone).select(NAMES)
    ids, end = method.texts.tokens(classes)
    count = method.chunk_size(ids.shape[1])
    images = count // len(classes) + 1
    features = torch.nn.functional.normalize(torch.randn(images, backbone.spec.embed_dim), dim=1)
    shifts = method.meta_net(features)
    pairs = torch.arange(count)
    used = saved_bytes(lambda: method._cosines(pairs, ids, end, shifts, method.context, features))
    assert 0.3 < used / (8 * 2**20) <= 1
    with torch.no_grad():
        assert method.chunk_size(ids.shape[1]) > count


def test_text_features_of_an_evaluation_are_computed_once(
    tiny: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = create("promptfl", tiny)
    assert isinstance(method, PromptFL)
    classes = toy_bank(tiny).select(NAMES)
    calls: list[int] = []
    encode = method.texts.encode

    def counted(*parts: Any) -> Tensor:
        calls.append(1)
        return encode(*parts)

    monkeypatch.setattr(method.texts, "encode", counted)
    with torch.no_grad():
        first = method.text_features(classes)
        assert method.text_features(classes) is first
        method.context.add_(0.1)  # another state
        second = method.text_features(classes)
        assert not torch.equal(first, second)
        method.text_features(toy_bank(tiny).select(NAMES[:2]))  # other classes
    assert len(calls) == 3
    method.text_features(classes)  # with gradient nothing is remembered
    method.text_features(classes)
    assert len(calls) == 5


def test_image_tower_does_not_run_in_text_methods_training(
    tiny: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = toy_client(toy_bank(tiny), NAMES[:3], per_class=1)
    rows = torch.arange(3).numpy()
    data.batch(rows, torch.Generator()).frozen(torch.zeros(3, dtype=torch.bool))
    monkeypatch.setattr(tiny.vision, "forward", lambda *a, **k: pytest.fail("tower ran"))
    for name in ("promptfl", "fedkgcoop", "fedcocoop", "fedtpg"):
        create(name, tiny).loss(data.batch(rows, torch.Generator()), data.classes)


# --- FedOTP's transport ---------------------------------------------------------------------


def similarities(problems: int = 3, tokens: int = 7) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.rand(problems, tokens, 2, generator=generator) * 1.2 - 0.2


def plan(similarity: Tensor, **changes: Any) -> Tensor:
    numbers: dict[str, Any] = {
        "epsilon": 0.1, "mass": 0.8, "partial": True, "iterations": 100, "threshold": 1e-3,
    }  # fmt: skip
    return transport_plan(similarity, **{**numbers, **changes})


def test_partial_plan_is_the_plain_loop() -> None:
    similarity = similarities()
    for problem, ours in zip(similarity, plan(similarity), strict=True):
        assert gap(ours, torch.tensor(partial_transport(problem.double().tolist()))) <= 1e-6


def test_partial_plan_has_the_prompts_mass_and_no_token_more_than_its_own() -> None:
    result = plan(similarities(), iterations=2000, threshold=1e-9)
    assert gap(result.sum(dim=1), torch.full((3, 2), 0.4)) <= 1e-6
    assert float(result.sum(dim=2).max()) <= 1 / 7 + 1e-6


def test_balanced_plan_meets_both_marginals() -> None:
    result = plan(similarities(), partial=False, mass=1.0, iterations=2000, threshold=1e-9)
    assert gap(result.sum(dim=1), torch.full((3, 2), 0.5)) <= 1e-6
    assert gap(result.sum(dim=2), torch.full((3, 7), 1 / 7)) <= 1e-6


def test_equal_costs_share_the_mass_evenly() -> None:
    result = plan(torch.full((1, 4, 2), 0.3), partial=False, mass=1.0)
    assert gap(result, torch.full((1, 4, 2), 1 / 8)) <= 1e-6


def test_plan_does_not_depend_on_its_neighbours() -> None:
    similarity = similarities()
    alone = [plan(problem[None])[0] for problem in similarity]
    assert torch.equal(plan(similarity), torch.stack(alone))


def test_small_epsilon_stays_finite() -> None:
    """exp(-C/ε) is 1e-87 here: out of float32's range, and u or v with it."""
    result = plan(similarities() - 0.8, epsilon=0.005)
    assert bool(torch.isfinite(result).all())
    assert gap(result.sum(dim=1), torch.full((3, 2), 0.4)) <= 1e-4


def test_one_transport_at_a_time_changes_nothing(tiny: Backbone) -> None:
    data = toy_client(toy_bank(tiny), NAMES[:3], per_class=1)
    images = tiny.normalise(data.images)
    with torch.no_grad():
        whole = create("fedotp", tiny).logits(images, data.classes)
        parts = create("fedotp", tiny, memory_budget_mib=1e-6).logits(images, data.classes)
    assert gap(whole, parts) <= TOLERANCE


def test_transport_takes_no_gradient_and_prompts_do(tiny: Backbone) -> None:
    for section in ({}, {"transport": "balanced"}):
        method = create("fedotp", tiny, **section)
        assert isinstance(method, FedOTP)
        _, slopes = gradients(method, tiny)
        assert all(float(slope.abs().max()) > 0 for slope in slopes)


def test_only_the_shared_context_travels(tiny: Backbone) -> None:
    method = create("fedotp", tiny)
    assert method.trainable("all") == ["global_context", "local_context"]
    assert method.communicated("all") == method.downloaded("all") == ["global_context"]


def test_the_server_ignores_personal_contexts(tiny: Backbone) -> None:
    method = create("fedotp", tiny)
    assert isinstance(method, FedOTP)
    data = client(tiny, 2)
    images = tiny.normalise(data.images)
    with torch.no_grad():
        method.enter(None)
        before = method.logits(images, data.classes)
        method.local_context.add_(1.0)
        assert torch.equal(method.logits(images, data.classes), before)
        method.enter("all")
        assert not torch.equal(method.logits(images, data.classes), before)


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
    from fedmvp.clip.importing import import_tokenizer

    ids = import_tokenizer(77)(["X X X X red fox.", "red fox.", "a photo of a red fox."]).tolist()
    assert len(set(ids[0][1:5])) == 1
    assert ids[0][5:8] == ids[1][1:4] == ids[2][5:8]
