"""One client's training: SGD, draws, momentum, the frozen views, failures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fedmvp.clip.backbone import Backbone
from fedmvp.errors import ClientFailure
from fedmvp.federation.backend import InProcessBackend
from fedmvp.federation.client import ClientData, ClientState, ClientUpdate, train_client
from fedmvp.federation.rounds import run_federation
from fedmvp.methods.classes import TextBank
from fedmvp.seeds import numpy_generator, torch_generator
from tests.toys import NAMES, federation, fedmvp, toy_client

pytestmark = pytest.mark.usefixtures("words")


def start_of(method: torch.nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in method.named_parameters()}


def trained(
    tiny: Backbone, data: ClientData, state: ClientState | None = None, **changes: Any
) -> ClientUpdate:
    options = {"learning_rate": 0.05, "seed": 1, "round_index": 0}
    options.update({k: changes.pop(k) for k in list(changes) if k in options})
    method = fedmvp(tiny)
    return train_client(
        method,
        "a",
        data,
        start_of(method),
        state or ClientState("promptformer"),
        federation(**changes),
        **options,
    )


def gap(one: ClientUpdate, other: ClientUpdate) -> float:
    return max(float((one.tensors[k] - other.tensors[k]).abs().max()) for k in one.tensors)


@pytest.fixture(scope="module")
def data(bank: TextBank) -> ClientData:
    return toy_client(bank, NAMES[:3], per_class=2)


def test_a_client_is_deterministic(tiny: Backbone, data: ClientData) -> None:
    one, again = trained(tiny, data), trained(tiny, data)
    assert gap(one, again) == 0
    assert one.metrics == again.metrics
    assert gap(one, trained(tiny, data, seed=2)) > 0
    assert gap(one, trained(tiny, data, round_index=1)) > 0


def test_global_generators_are_never_read(tiny: Backbone, data: ClientData) -> None:
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    trained(tiny, data)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()


def test_frozen_backbone_is_unchanged(tiny: Backbone, data: ClientData) -> None:
    before = {name: tensor.clone() for name, tensor in tiny.state_dict().items()}
    trained(tiny, data, local_epochs=2)
    assert all(torch.equal(tensor, before[name]) for name, tensor in tiny.state_dict().items())
    assert all(p.grad is None for p in tiny.parameters())


def test_one_plain_step(tiny: Backbone, data: ClientData) -> None:
    """Without momentum and decay one full batch is w - rate · g."""
    method = fedmvp(tiny)
    start = start_of(method)
    update = trained(tiny, data, batch_size=6, momentum=0.0, weight_decay=0.0, learning_rate=0.1)
    # The order of a full batch is irrelevant; its mirrorings are not: draw the client's.
    rows = numpy_generator(1, "batches", "a", 0, 0).permutation(6)
    loss = method.loss(data.batch(rows, torch_generator(1, "views", "a", 0, 0)), data.classes)
    names = method.trainable("promptformer")
    slopes = torch.autograd.grad(loss.total, [method.tensors()[name] for name in names])
    for name, slope in zip(names, slopes, strict=True):
        assert (update.tensors[name] - (start[name] - 0.1 * slope)).abs().max() <= 1e-6, name


def test_images_in_their_own_order(
    tiny: Backbone, data: ClientData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without `shuffle` batches are those of the list, whatever the seed."""
    seen: list[list[int]] = []
    batch = ClientData.batch

    def note(self: ClientData, rows: Any, views: Any) -> Any:
        seen.append([int(row) for row in rows])
        return batch(self, rows, views)

    monkeypatch.setattr(ClientData, "batch", note)
    for seed in (1, 2):
        trained(tiny, data, seed=seed, batch_size=4, local_epochs=1, shuffle=False)
    assert seen == [[0, 1, 2, 3], [4, 5]] * 2
    seen.clear()
    trained(tiny, data, batch_size=4, local_epochs=1)
    assert sorted(row for rows in seen for row in rows) == list(range(6)) and seen != [
        [0, 1, 2, 3],
        [4, 5],
    ]


def test_fresh_and_persistent_momentum(tiny: Backbone, data: ClientData) -> None:
    """A persistent client goes on with its buffers, a fresh one starts from nothing."""
    first: dict[str, ClientUpdate] = {}
    second: dict[str, ClientUpdate] = {}
    for kind in ("fresh", "persistent"):
        state = ClientState("promptformer")
        first[kind] = trained(tiny, data, state, client_state=kind)
        assert bool(state.momentum) == (kind == "persistent")
        second[kind] = trained(tiny, data, state, client_state=kind, round_index=1)
    assert gap(first["fresh"], first["persistent"]) == 0
    assert gap(second["fresh"], second["persistent"]) > 1e-6


def test_momentum_goes_on_as_if_the_rounds_were_one(tiny: Backbone, data: ClientData) -> None:
    """Two persistent rounds of one client equal two epochs, given the same batches.

    With one full batch a round and no random view (alpha = 0) the draws do not matter.
    """
    options: dict[str, Any] = {"batch_size": 6, "client_state": "persistent"}
    state = ClientState("promptformer")
    method = fedmvp(tiny, consistency_weight=0)
    tensors = start_of(method)
    for index in (0, 1):
        update = train_client(
            method,
            "a",
            data,
            tensors,
            state,
            federation(**options),
            learning_rate=0.05,
            seed=1,
            round_index=index,
        )
        tensors = tensors | update.tensors
    method = fedmvp(tiny, consistency_weight=0)
    both = train_client(
        method,
        "a",
        data,
        start_of(method),
        ClientState("promptformer"),
        federation(local_epochs=2, **options),
        learning_rate=0.05,
        seed=1,
        round_index=0,
    )
    assert gap(update, both) <= 1e-6


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_frozen_tensors_leave_the_optimizer(
    tiny: Backbone, data: ClientData, optimizer: str
) -> None:
    """After the switch to LoRA the PromptFormer's momentum is never read again."""
    state = ClientState("promptformer")
    options: dict[str, Any] = {"client_state": "persistent", "client_optimizer": optimizer}
    method = fedmvp(tiny, switch_loss=100.0)
    for index, phase in enumerate(("promptformer", "lora")):
        assert state.phase == phase
        train_client(
            method,
            "a",
            data,
            start_of(method),
            state,
            federation(**options),
            learning_rate=0.05,
            seed=1,
            round_index=index,
        )
        lora = set(method.trainable("lora"))
        assert {name.split("/")[0] for name in state.momentum} == (lora if index else set())


def test_one_client_with_all_data_is_centralised_training(tiny: Backbone, data: ClientData) -> None:
    """Participation 1, one client, persistent momentum: SGD on the same batches.

    Three rounds of the federation against one plain loop over three epochs.
    """
    params = federation(
        rounds=3, batch_size=4, schedule="constant", client_state="persistent", learning_rate=0.05
    )
    method = fedmvp(tiny, switch_loss=None)
    start = start_of(method)
    backend = InProcessBackend(method, lambda client: data, ["all"], params, 1)
    federated = run_federation(start, backend, ["all"], params, seed=1).tensors

    central = fedmvp(tiny, switch_loss=None)
    central.enter("promptformer")
    names = central.trainable("promptformer")
    tensors = [central.tensors()[name] for name in names]
    buffers: list[Tensor] = []
    for epoch in range(3):
        order = numpy_generator(1, "batches", "all", epoch, 0).permutation(6)
        views = torch_generator(1, "views", "all", epoch, 0)
        for rows in (order[:4], order[4:]):
            loss = central.loss(data.batch(rows, views), data.classes).total
            slopes = torch.autograd.grad(loss, tensors)
            with torch.no_grad():
                steps = [g + params.weight_decay * w for g, w in zip(slopes, tensors, strict=True)]
                buffers = (
                    [params.momentum * old + new for old, new in zip(buffers, steps, strict=True)]
                    if buffers
                    else steps
                )
                for tensor, buffer in zip(tensors, buffers, strict=True):
                    tensor -= 0.05 * buffer
    for name, tensor in start_of(central).items():
        assert (tensor - federated[name]).abs().max() <= 1e-6, name
    assert max(float((start[n] - federated[n]).abs().max()) for n in names) > 1e-3


def test_metrics_are_means_over_images(tiny: Backbone, data: ClientData) -> None:
    """Without a step (rate 0) the parts add up, and equal one pass over all images."""
    update = trained(tiny, data, learning_rate=0.0, batch_size=4)
    method = fedmvp(tiny)
    with torch.no_grad():
        logits = method.logits(tiny.normalise(data.images), data.classes)
    loss = torch.nn.functional.cross_entropy(logits, data.labels)
    accuracy = (logits.argmax(dim=1) == data.labels).float().mean()
    metrics = update.metrics
    assert metrics["loss_ce"] == pytest.approx(float(loss), abs=1e-5)
    assert metrics["accuracy"] == pytest.approx(float(accuracy))
    assert metrics["loss"] == pytest.approx(metrics["loss_ce"] + 10 * metrics["loss_con"])
    assert update.images == 6


def test_bytes_are_those_of_the_phase(tiny: Backbone, data: ClientData) -> None:
    """Four bytes a number: θ up and down in phase 1; in phase 2 LoRA up, everything down."""
    method = fedmvp(tiny)
    theta = 4 * sum(t.numel() for n, t in method.tensors().items() if ".lora." not in n)
    lora = 4 * 6 * 64 * 8
    one = trained(tiny, data)
    two = trained(tiny, data, ClientState("lora"))
    assert (one.bytes_up, one.bytes_down) == (theta, theta)
    assert (two.bytes_up, two.bytes_down) == (lora, theta + lora)


def test_a_diverging_client_is_named(tiny: Backbone, data: ClientData) -> None:
    with pytest.raises(
        ClientFailure, match=r"client a, round 0: loss is not finite.*learning_rate"
    ):
        trained(tiny, data, learning_rate=1e20, batch_size=1)


def test_a_client_leaves_the_servers_tensors_alone(tiny: Backbone, data: ClientData) -> None:
    method = fedmvp(tiny)
    start = start_of(method)
    copy = {name: tensor.clone() for name, tensor in start.items()}
    update = train_client(
        method,
        "a",
        data,
        start,
        ClientState("promptformer"),
        federation(),
        learning_rate=0.05,
        seed=1,
        round_index=0,
    )
    assert all(torch.equal(start[name], copy[name]) for name in start)
    # What is sent is a copy too: the next client overwrites the workspace.
    kept = {name: tensor.clone() for name, tensor in update.tensors.items()}
    with torch.no_grad():
        for tensor in method.tensors().values():
            tensor.zero_()
    assert all(torch.equal(update.tensors[name], kept[name]) for name in kept)


def test_fedprox_pulls_towards_the_start(tiny: Backbone, data: ClientData) -> None:
    """The first step is FedAvg's (w = w_t); later ones add mu (w - w_t): not zero."""
    distances = {}
    for weight in (0.0, 5.0):
        update = trained(
            tiny, data, aggregation="fedprox", proximal_weight=weight, local_epochs=4, batch_size=2
        )
        start = start_of(fedmvp(tiny))
        distances[weight] = sum(
            float((tensor - start[name]).square().sum()) for name, tensor in update.tensors.items()
        )
    assert 0 < distances[5.0] < 0.9 * distances[0.0]
    one = [
        trained(tiny, data, aggregation="fedprox", proximal_weight=w, batch_size=6)
        for w in (0.0, 5.0)
    ]
    assert gap(*one) == 0
