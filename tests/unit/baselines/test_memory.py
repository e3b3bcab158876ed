"""What bounds memory and work at many classes: chunks, budgets, texts encoded once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from fedmvp.clip.backbone import Backbone
from fedmvp.federation.optimizers import OPTIMIZERS
from fedmvp.methods.fedcocoop import FedCoCoOp
from fedmvp.methods.promptfl import PromptFL
from fedmvp.methods.text_prompts import TextMemory
from tests.toys import NAMES, federation, shake, toy_bank, toy_client
from tests.unit.baselines.started import TOLERANCE, create, gradients
from tests.unit.baselines.test_reference import gap

pytestmark = pytest.mark.usefixtures("words")


@pytest.mark.slow  # torch's checkpointing imports its compiler
@pytest.mark.parametrize(
    "name",
    [
        "promptfl",
        "fedkgcoop",
        "fedvlp",
        "fedmaple",
        "fedtpg",
        "fedotp",
        "fed_dualcoop",
        "fedpgp",
        "promptfolio",
        "fedpha",
        "pfedmoap",
        "fedmgp",
        "fedpromptsrc",
        "fedprograd",
        "fedplot",
    ],
)
def test_chunks_of_texts_change_nothing(tiny: Backbone, name: str) -> None:
    """Values and gradients with one pass per class equal those of one pass for all."""
    whole, chunked = create(name, tiny), create(name, tiny, text_chunk=1)
    shake(whole)
    shake(chunked)
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


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_what_an_optimizer_writes_is_noticed(optimizer: str, fused: bool) -> None:
    """Fused kernels write into tensors without a trace but torch's count of changes."""
    memory, results = TextMemory(), iter(range(9))
    weights = {"w": torch.nn.Parameter(torch.ones(3))}

    def remembered() -> int:
        with torch.no_grad():
            return int(memory(("a",), list(weights.values()), lambda: torch.tensor(next(results))))

    assert [remembered(), remembered()] == [0, 0]
    with torch.no_grad():
        OPTIMIZERS[optimizer](weights, {"w": torch.ones(3)}, {}, federation(), 0.1, fused=fused)
    assert [remembered(), remembered()] == [1, 1]
    weights["w"] = torch.nn.Parameter(weights["w"].detach().clone())
    assert remembered() == 2


def test_texts_of_an_evaluation_are_encoded_for_each_batch_on_request() -> None:
    memory, results = TextMemory(keep=False), iter(range(9))
    with torch.no_grad():
        found = [int(memory(("a",), [], lambda: torch.tensor(next(results)))) for _ in range(2)]
    assert found == [0, 1]


def test_image_tower_does_not_run_in_text_methods_training(
    tiny: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = toy_client(toy_bank(tiny), NAMES[:3], per_class=1)
    rows = torch.arange(3).numpy()
    data.batch(rows, torch.Generator()).frozen(torch.zeros(3, dtype=torch.bool))
    monkeypatch.setattr(tiny.vision, "forward", lambda *a, **k: pytest.fail("tower ran"))
    for name in (
        "promptfl",
        "fedkgcoop",
        "fedcocoop",
        "fedtpg",
        "fedpgp",
        "promptfolio",
        "fedpha",
        "pfedmoap",
        "fedprograd",
    ):
        create(name, tiny).loss(data.batch(rows, torch.Generator()), data.classes)
