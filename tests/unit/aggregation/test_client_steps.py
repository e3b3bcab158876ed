"""What a client does with gradients: SGD, Adam, AdamW, and FedProx's pull to the server."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from fedmvp.clip.backbone import Backbone
from fedmvp.config import FederationParams
from fedmvp.federation.client import ClientState, train_client
from fedmvp.federation.optimizers import OPTIMIZERS
from tests.bridge import batches_of
from tests.reference.federated import Optimiser, sgd_step
from tests.reference_baselines.methods import loss
from tests.toys import federation
from tests.unit.baselines.test_reference import client, create, doubles, gap, plain, spoken

TOLERANCE = 1e-5


def steps(optimizer: str, slopes: list[float], **section: Any) -> list[float]:
    """Return w after each step from w = 1 with learning rate 0.1."""
    params = federation(client_optimizer=optimizer, **section)
    tensors, state = {"w": torch.tensor([1.0], dtype=torch.float64)}, dict[str, Tensor]()
    path = []
    for slope in slopes:
        gradient = {"w": torch.tensor([slope], dtype=torch.float64)}
        OPTIMIZERS[optimizer](tensors, gradient, state, params, 0.1)
        path.append(tensors["w"].item())
    return path


def test_sgd() -> None:
    """λ 0.5, μ 0.5: b = 2 + 0.5 = 2.5, w = 0.75; b = 1.25 + 1 + 0.375 = 2.625, w = 0.4875."""
    assert steps("sgd", [2.0, 1.0], momentum=0.5, weight_decay=0.5) == pytest.approx([0.75, 0.4875])


NUMBERS: dict[str, Any] = {
    "momentum": 0.5,
    "second_momentum": 0.75,
    "adam_epsilon": 0.25,
    "weight_decay": 0.5,
}


def test_adam() -> None:
    """g = 2 + 0.5·1 = 2.5: m̂ = 2.5, v̂ = 6.25, w = 1 - 0.1 · 2.5 / 2.75.

    Then with g' = 1 + w/2: m = 0.5·1.25 + 0.5 g', over 1 - 0.25; v = 0.75·1.5625 + 0.25 g'²,
    over 1 - 0.5625.
    """
    first = 1 - 0.1 * 2.5 / 2.75
    slope = 1 + first / 2
    mean = (0.625 + 0.5 * slope) / 0.75
    square = (1.171875 + 0.25 * slope**2) / 0.4375
    second = first - 0.1 * mean / (math.sqrt(square) + 0.25)
    assert steps("adam", [2.0, 1.0], **NUMBERS) == pytest.approx([first, second])


def test_adamw() -> None:
    """w = 1 · (1 - 0.1·0.5) = 0.95, less 0.1 · 2 / 2.25; the decay is in no moment."""
    assert steps("adamw", [2.0], **NUMBERS) == pytest.approx([0.95 - 0.1 * 2 / 2.25])


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_zero_gradients_without_decay_move_nothing(optimizer: str) -> None:
    assert steps(optimizer, [0.0, 0.0], weight_decay=0.0) == [1.0, 1.0]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_gradients_may_lie_in_memory_as_they_like(optimizer: str) -> None:
    """The fused kernels go through plain memory, and autograd returns transposed views."""
    slopes = torch.arange(6.0).view(3, 2).T
    plain = torch.tensor([[0.0, 2.0, 4.0], [1.0, 3.0, 5.0]])
    params = federation(client_optimizer=optimizer)

    def stepped(gradient: Tensor) -> Tensor:
        weights = {"w": torch.ones(2, 3)}
        OPTIMIZERS[optimizer](weights, {"w": gradient}, {}, params, 0.1)
        return weights["w"]

    assert not slopes.is_contiguous()
    assert torch.equal(stepped(slopes), stepped(plain))


def test_every_optimizer_of_the_section_is_implemented() -> None:
    values = FederationParams.model_fields["client_optimizer"].annotation
    assert set(getattr(values, "__args__", ())) == set(OPTIMIZERS)


@pytest.mark.usefixtures("words")
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_client_keeps_its_optimizer_state_only_when_persistent(
    tiny: Backbone, optimizer: str
) -> None:
    method, data = create("promptfl", tiny), client(tiny)
    start = {name: tensor.detach().clone() for name, tensor in method.tensors().items()}

    def update(state: ClientState, kind: str) -> Tensor:
        params = federation(client_optimizer=optimizer, client_state=kind)
        return train_client(
            method, "c", data, start, state, params, learning_rate=0.01, seed=7, round_index=0
        ).tensors["context"]

    fresh, kept = ClientState("all"), ClientState("all")
    assert torch.equal(update(fresh, "fresh"), update(fresh, "fresh"))
    assert not fresh.momentum
    assert not torch.equal(update(kept, "persistent"), update(kept, "persistent"))
    assert "context" in kept.momentum


# --- FedProx ----------------------------------------------------------------------------------


def prompts(backbone: Backbone, **section: Any) -> tuple[Tensor, Tensor, FederationParams]:
    """Return PromptFL's context before and after a client's two epochs of two batches."""
    method = create("promptfl", backbone)
    start = {name: tensor.detach().clone() for name, tensor in method.tensors().items()}
    params = federation(local_epochs=2, batch_size=2, **section)
    update = train_client(
        method,
        "c",
        client(backbone),
        start,
        ClientState("all"),
        params,
        learning_rate=0.05,
        seed=7,
        round_index=0,
    )
    return start["context"], update.tensors["context"], params


@pytest.mark.usefixtures("words")
def test_fedprox_descends_the_proximal_loss(tiny: Backbone) -> None:
    """Against L + (μ/2) ‖w - w_t‖² differentiated as a whole; without the term it differs."""
    start, ours, params = prompts(tiny, aggregation="fedprox", proximal_weight=2.0)
    data, model, buffers = client(tiny), plain(tiny), dict[str, Tensor]()
    state = doubles(create("promptfl", tiny))
    for batches in batches_of(data, "c", 0, params, 7, one_flip=False, last_only=False):
        for batch in batches:
            leaf = {"context": state["context"].clone().requires_grad_()}
            names = spoken(data.classes.names)
            total = loss("promptfl", batch.images, batch.labels, leaf, names, model)
            total = total + 2.0 / 2 * (leaf["context"] - start.double()).square().sum()
            slopes = dict(zip(leaf, torch.autograd.grad(total, [leaf["context"]]), strict=True))
            sgd_step(state, slopes, buffers, Optimiser(0.05, params.momentum, params.weight_decay))
    assert gap(ours, state["context"]) <= TOLERANCE
    _, free, _ = prompts(tiny)
    assert gap(ours, free) > 100 * TOLERANCE


@pytest.mark.usefixtures("words")
def test_fedprox_pulls_to_the_server(tiny: Backbone) -> None:
    """The term has a gradient: the larger μ, the nearer a client stays; μ = 0 is FedAvg."""
    distances = []
    for weight in (0.0, 0.5, 2.0, 8.0):
        start, end, _ = prompts(tiny, aggregation="fedprox", proximal_weight=weight)
        distances.append(float((end - start).norm()))
    assert distances == sorted(distances, reverse=True)
    assert distances[0] > 1.05 * distances[-1]
    assert torch.equal(
        prompts(tiny, aggregation="fedprox", proximal_weight=0.0)[1], prompts(tiny)[1]
    )


@pytest.mark.usefixtures("words")
def test_fedprox_leaves_personal_tensors_alone(tiny: Backbone) -> None:
    """With a pull so strong that nothing shared moves, a personal context moves as without it."""

    def moved(**section: Any) -> tuple[float, float]:
        method, state = create("fedotp", tiny), ClientState("all")
        start = {name: tensor.detach().clone() for name, tensor in method.tensors().items()}
        update = train_client(
            method,
            "c",
            client(tiny),
            start,
            state,
            federation(local_epochs=3, **section),
            learning_rate=0.01,
            seed=7,
            round_index=0,
        )
        return (
            gap(update.tensors["global_context"], start["global_context"]),
            gap(state.personal["local_context"], start["local_context"]),
        )

    pulled = moved(aggregation="fedprox", proximal_weight=30.0)
    free = moved()
    assert pulled[0] < 0.9 * free[0]
    assert pulled[1] == pytest.approx(free[1], rel=0.1)
