"""What pFedMoAP and FedMGP share: experts from a pool, groups a client chooses."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from fedmvp.clip.backbone import Backbone
from fedmvp.errors import ConfigError
from fedmvp.federation.client import ClientState, train_client
from fedmvp.methods.base import Method
from fedmvp.methods.build import method_params, resolved_federation
from fedmvp.methods.fedmgp import FedMGP, agreement, chances
from fedmvp.methods.pfedmoap import Gate, PFedMoAP, PromptPool
from tests.random_clip import backbone_spec
from tests.toys import NAMES, federation, toy_bank, toy_client
from tests.unit.baselines.started import create, gradients

pytestmark = pytest.mark.usefixtures("words")

Tensors = dict[str, Tensor]


def copies(method: torch.nn.Module) -> Tensors:
    return {name: tensor.detach().clone() for name, tensor in method.named_parameters()}


def contexts(count: int) -> Tensors:
    """Return contexts of clients a, b, c …, each its own distance from the next."""
    return {chr(97 + i): torch.full((2, 3), float(i * i)) for i in range(count)}


def pool(count: int, members: Tensors) -> PromptPool:
    found = PromptPool(count)
    for client, context in members.items():
        found.receive(client, {"context": context})
    return found


def test_pool_sends_the_nearest_of_the_others() -> None:
    members = contexts(5)  # 0, 1, 4, 9, 16
    sent = pool(2, members).download("c")
    assert [float(tensor[0, 0]) for tensor in sent.values()] == [1.0, 0.0]
    assert list(sent) == ["experts.0", "experts.1"]
    assert len(pool(9, members).download("c")) == 4
    assert pool(9, members).download("new") == {}
    assert pool(9, {"a": members["a"]}).download("a") == {}


def test_pool_does_not_know_the_order_clients_came_in() -> None:
    """Also where two are equally far."""
    members = {**contexts(3), "z": torch.full((2, 3), 1.0), "y": torch.full((2, 3), 1.0)}
    one, other = pool(2, members), pool(2, dict(reversed(members.items())))
    for client in members:
        first, second = one.download(client), other.download(client)
        assert list(first) == list(second)
        assert all(first[key] is second[key] for key in first)


def test_pool_keeps_the_last_context_only() -> None:
    found = pool(2, contexts(2))
    found.receive("a", {"context": torch.full((2, 3), 7.0)})
    assert {key: float(tensor[0, 0]) for key, tensor in found.state.items()} == {"a": 7, "b": 1}


@torch.no_grad()
def test_gate_of_equal_experts_returns_them() -> None:
    draw = torch.Generator().manual_seed(1)
    gate = Gate(16, 8, 10.0, draw)
    for part in (gate.value, gate.output):
        part.weight.copy_(torch.eye(16))
        part.bias.zero_()
    texts = torch.randn(3, 16, generator=draw)
    mixed = gate(torch.randn(2, 16, generator=draw), texts[:, None].expand(3, 4, 16))
    assert torch.allclose(mixed, texts.expand(2, 3, 16), atol=1e-6)


def test_moap_takes_every_fourth_coordinate() -> None:
    method = create("pfedmoap", Backbone(backbone_spec("vit_b16", layers=1)))
    assert isinstance(method, PFedMoAP)
    assert method._pool(torch.arange(512.0)).tolist() == list(range(0, 512, 4))
    assert sum(p.numel() for p in method.gate.parameters()) == 66_048


def update(
    method: PFedMoAP,
    backbone: Backbone,
    state: ClientState,
    extra: Tensors | None = None,
    start: Tensors | None = None,
) -> Any:
    return train_client(
        method,
        "c",
        toy_client(toy_bank(backbone), NAMES[:4]),
        start or copies(method),
        state,
        federation(),
        learning_rate=0.01,
        seed=1,
        round_index=0,
        extra=extra,
    )


def moap(tiny: Backbone) -> PFedMoAP:
    method = create("pfedmoap", tiny, n_experts=3)
    assert isinstance(method, PFedMoAP)
    return method


def test_moap_without_experts_is_promptfl(tiny: Backbone) -> None:
    plain, method = create("promptfl", tiny, n_context=16), moap(tiny)
    with torch.no_grad():
        plain.tensors()["context"].copy_(method.context)
    gate, state = copies(method.gate), ClientState("all")
    data = toy_client(toy_bank(tiny), NAMES[:4])
    first = train_client(
        plain,
        "c",
        data,
        copies(plain),
        ClientState("all"),
        federation(),
        learning_rate=0.01,
        seed=1,
        round_index=0,
    )
    own = update(method, tiny, state)
    assert torch.equal(own.tensors["context"], first.tensors["context"])
    assert own.metrics == first.metrics
    # The gate has not been used, so nothing moves it: no weight decay either.
    assert all(torch.equal(state.personal[f"gate.{name}"], gate[name]) for name in gate)
    assert "experts.0" not in state.personal
    assert own.bytes_down == first.bytes_down


def test_moap_with_experts_trains_the_gate_and_not_them(tiny: Backbone) -> None:
    method, state = moap(tiny), ClientState("all")
    start = copies(method)
    shape = start["context"].shape
    extra = {f"experts.{i}": torch.full(shape, 0.1 * (i + 1)) for i in range(2)}
    own = update(method, tiny, state, extra, start)
    assert not torch.equal(state.personal["gate.value.weight"], start["gate.value.weight"])
    assert all(torch.equal(state.personal[name], tensor) for name, tensor in extra.items())
    assert torch.equal(state.personal["context"], own.tensors["context"])
    assert own.bytes_down == 3 * 4 * 16 * 48
    assert set(own.tensors) == {"context"}
    # The next client, in its first round, sees nothing of them.
    newcomer = update(method, tiny, ClientState("all"), None, start)
    alone = update(moap(tiny), tiny, ClientState("all"))
    assert torch.equal(newcomer.tensors["context"], alone.tensors["context"])


def test_moap_starts_at_the_mean_and_not_at_its_own_context(tiny: Backbone) -> None:
    """That is kept for evaluation alone."""
    method, state = moap(tiny), ClientState("all")
    start = copies(method)
    update(method, tiny, state, None, start)
    assert not torch.equal(state.personal["context"], start["context"])
    without = {name: tensor for name, tensor in state.personal.items() if name != "context"}
    one = update(method, tiny, state, None, start)
    other = update(method, tiny, ClientState("all", personal=without), None, start)
    assert torch.equal(one.tensors["context"], other.tensors["context"])


def test_no_gradient_reaches_a_foreign_context(tiny: Backbone) -> None:
    method = moap(tiny)
    with torch.no_grad():
        method.experts[0].fill_(0.1)
    method.enter("all")
    data = toy_client(toy_bank(tiny), NAMES[:4], per_class=1)
    batch = data.batch(torch.arange(4).numpy(), torch.Generator())
    total = method.loss(batch, data.classes).total
    slopes = torch.autograd.grad(
        total, [method.experts[0], method.gate.key.weight], allow_unused=True
    )
    assert slopes[0] is None
    assert slopes[1] is not None


def test_a_method_that_hands_prompts_on_refuses_differential_privacy() -> None:
    privacy = {"clip_norm": 1.0, "noise_multiplier": 1.0, "delta": 1e-5}
    section = method_params("pfedmoap", {"federation": {"privacy": privacy}})
    with pytest.raises(ConfigError, match=r"federation.privacy: pfedmoap sends .*hint: ") as caught:
        resolved_federation("pfedmoap", section, federation())
    assert "\n" not in str(caught.value)
    private = federation(privacy=privacy)
    with pytest.raises(ConfigError, match="pfedmoap sends"):
        resolved_federation("pfedmoap", method_params("pfedmoap", {}), private)
    free = method_params("pfedmoap", {"federation": {"privacy": None}})
    assert resolved_federation("pfedmoap", free, private).privacy is None
    # FedMGP's and FedPromptSRC's servers see averages alone.
    for name in ("fedmgp", "fedpromptsrc", "fedpgp"):
        assert resolved_federation(name, method_params(name, {}), private).privacy is not None


def test_mgp_chances() -> None:
    cosines = (0.9, 0.5, 0.1, 0.0, -0.1)
    groups = [torch.tensor([[c, (1 - c * c) ** 0.5]]) for c in cosines]
    found = chances(groups, [torch.tensor([[-1.0, 0.0]]), torch.tensor([[2.0, 0.0]])], 1.0)
    # The nearer of both shared groups counts.
    expected = torch.tensor([0.9, 0.5, 0.1, 0.0, 0.1]).softmax(dim=0)
    assert found.tolist() == pytest.approx(expected.tolist(), abs=1e-6)
    alone = chances(groups, [torch.tensor([[1.0, 0.0]])], 1.0)
    assert alone.tolist() == pytest.approx([0.3455, 0.2316, 0.1553, 0.1405, 0.1271], abs=6e-5)


def test_mgp_agreement_is_the_mean_over_pairs() -> None:
    draw = torch.Generator().manual_seed(1)
    features = torch.nn.functional.normalize(torch.randn(3, 4, 5, generator=draw), dim=-1)
    pairs = [(features[i] * features[j]).sum(-1).mean() for i, j in ((0, 1), (0, 2), (1, 2))]
    assert float(agreement(features)) == pytest.approx(float(sum(pairs) / 3), abs=1e-6)
    assert float(agreement(features[:1].expand(4, 4, 5))) == pytest.approx(1)


def test_mgp_signs_of_its_diversity(tiny: Backbone) -> None:
    """Weighted heavily, a step with the paper's sign parts the groups, the code's joins them."""
    for sign, direction in (("apart", -1), ("together", 1)):
        method = create("fedmgp", tiny, diversity=sign, diversity_weight=1e4)
        assert isinstance(method, FedMGP)
        classes = toy_bank(tiny).select(NAMES[:4])
        before = float(agreement(method.text_features(classes)).detach())
        _, slopes = gradients(method, tiny)
        with torch.no_grad():
            for tensor, slope in zip(method.tensors().values(), slopes, strict=True):
                tensor.sub_(1e-3 * slope / slope.norm())
        assert direction * (float(agreement(method.text_features(classes)).detach()) - before) > 0


def train_mgp(tiny: Backbone, method: Method, state: ClientState) -> Tensors:
    """Train with next to no learning; return what is sent."""
    sent = train_client(
        method,
        "c",
        toy_client(toy_bank(tiny), NAMES[:4], per_class=1),
        copies(method),
        state,
        federation(client_state="persistent"),
        learning_rate=1e-6,
        seed=2,
        round_index=0,
    )
    return dict(sent.tensors)


def test_mgp_keeps_every_group_whichever_it_sends(
    tiny: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is sent and kept are the five groups it started with, with their momenta."""
    start, state, other = copies(create("fedmgp", tiny)), ClientState("all"), ClientState("all")
    sent = train_mgp(tiny, create("fedmgp", tiny), state)
    assert list(sent) == ["text.0", "text.1", "vision.0", "vision.1"]
    assert set(state.personal) == {f"{k}.{g}" for k in ("text", "vision") for g in (2, 3, 4)}
    monkeypatch.setattr(FedMGP, "rearranged", lambda *parts: {})
    train_mgp(tiny, create("fedmgp", tiny), other)
    after, orders = {**sent, **state.personal}, []
    for kind in ("text", "vision"):
        order = [
            min(range(5), key=lambda g: float((after[f"{kind}.{p}"] - start[f"{kind}.{g}"]).norm()))
            for p in range(5)
        ]
        assert sorted(order) == list(range(5))
        assert order[2:] == sorted(order[2:])
        for place, group in enumerate(order):
            moved, stayed = state.momentum[f"{kind}.{place}"], other.momentum[f"{kind}.{group}"]
            assert torch.equal(moved, stayed)
        orders.append(order)
    assert orders[0] != orders[1]  # chosen independently


@pytest.mark.parametrize("groups", [2, 5])
def test_mgp_needs_a_group_of_its_own(groups: int) -> None:
    with pytest.raises(ConfigError, match=rf"methods.fedmgp.*shared_groups {groups} leaves none"):
        method_params("fedmgp", {"groups": groups, "shared_groups": groups})
