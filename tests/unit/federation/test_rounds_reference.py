"""Client updates and server rounds against the plain reference; 1e-5 in fp32."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from fedmvp.clip.backbone import Backbone
from fedmvp.config import FederationParams
from fedmvp.federation.aggregation.rules import federated_average
from fedmvp.federation.backend import InProcessBackend
from fedmvp.federation.client import ClientData, ClientState, ClientUpdate, train_client
from fedmvp.federation.failures import Failure
from fedmvp.federation.rounds import run_federation
from tests.bridge import batches_of, official_state, reference_classes, reference_clip
from tests.reference.federated import (
    Client,
    Optimiser,
    State,
    average,
    client_update,
    cosine,
    server_round,
)
from tests.reference.fedmvp import OFFICIAL, PAPER, Recipe
from tests.toys import NAMES, federation, fedmvp, toy_bank, toy_client

pytestmark = pytest.mark.usefixtures("words")

TOLERANCE = 1e-5
VARIANTS = {"paper": PAPER, "official-code": OFFICIAL}
SIGMA = {"paper": 1.5, "official-code": 1.15}
SEED = 7


def section(variant: str, **changes: object) -> FederationParams:
    """Return the federation section with what the variant overrides."""
    official = {"client_state": "persistent"} if variant == "official-code" else {}
    return federation(**{**official, **changes})


def batches(
    data: ClientData, client: str, index: int, params: FederationParams, recipe: Recipe
) -> list[list[object]]:
    official = recipe.last_batch_only
    return batches_of(data, client, index, params, SEED, one_flip=official, last_only=official)


def assert_close(ours: State, reference: State) -> None:
    assert ours.keys() == reference.keys()
    for name, tensor in reference.items():
        gap = float((ours[name].double() - tensor).abs().max())
        assert gap <= TOLERANCE, f"{name} differs by {gap:.2g}"


@pytest.mark.parametrize("phase", ["promptformer", "lora"])
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(
    "shape", ["tiny", "picto", pytest.param("vit_b16", marks=pytest.mark.slow)]
)
def test_one_client_update(
    backbone: Callable[..., Backbone], shape: str, variant: str, phase: str
) -> None:
    """Momentum and weight decay over several steps; every tensor sent, and only those."""
    shaped = backbone(shape, layers=1 if shape == "vit_b16" else 2)
    recipe = VARIANTS[variant]
    method = fedmvp(shaped, variant=variant)
    whole = toy_client(toy_bank(shaped), NAMES[:3], per_class=1)
    count = 2 if shape == "vit_b16" else 3
    data = ClientData(shaped, whole.images[:count], whole.labels[:count].tolist(), whole.classes)
    params = section(variant, batch_size=count - 1, local_epochs=2 if shape == "tiny" else 1)
    start = {name: tensor.detach().clone() for name, tensor in method.tensors().items()}
    state = ClientState(phase)
    update = train_client(
        method, "a", data, start, state, params, learning_rate=0.05, seed=SEED, round_index=3
    )

    client = Client(reference_classes(data.classes, method), lora=phase == "lora")
    sent, totals = client_update(
        official_state(start),
        client,
        batches(data, "a", 3, params, recipe),
        recipe,
        Optimiser(0.05, params.momentum, params.weight_decay),
        reference_clip(shaped),
    )
    assert_close(official_state(update.tensors), sent)
    assert (state.phase == "lora") == client.lora
    assert update.images == count
    if not recipe.last_batch_only and params.local_epochs == 1:
        weights = [params.batch_size, count - params.batch_size]
        mean = sum(w * t for w, t in zip(weights, totals, strict=True)) / count
        assert update.metrics["loss"] == pytest.approx(mean, abs=TOLERANCE)


CLIENTS = {"a": NAMES[:2], "b": NAMES[2:5], "c": NAMES[5:8]}


@pytest.fixture(scope="module")
def shaped(backbone: Callable[..., Backbone]) -> Backbone:
    return backbone("tiny", layers=2)


def clients_data(shaped: Backbone) -> dict[str, ClientData]:
    bank = toy_bank(shaped)
    return {
        name: toy_client(bank, classes, per_class=1, seed=number)
        for number, (name, classes) in enumerate(CLIENTS.items())
    }


@pytest.mark.parametrize("variant", VARIANTS)
def test_server_rounds_with_phases(shaped: Backbone, variant: str) -> None:
    """Three rounds in which clients reach the LoRA phase one after the other.

    sigma lies between the clients' losses, so that mixtures of phases occur.
    """
    recipe = replace(VARIANTS[variant], sigma=SIGMA[variant], half_precision_mean=False)
    params = section(variant, rounds=4, batch_size=2, learning_rate=0.05)
    method = fedmvp(shaped, variant=variant, switch_loss=SIGMA[variant])
    data = clients_data(shaped)
    start = {name: tensor.detach().clone() for name, tensor in method.tensors().items()}
    backend = Recording(method, data.__getitem__, list(CLIENTS), params, SEED)
    result = run_federation(start, backend, list(CLIENTS), params, seed=SEED)

    current, clip = official_state(start), reference_clip(shaped)
    clients = {name: Client(reference_classes(part.classes, method)) for name, part in data.items()}
    after = [*backend.received[1:], result.tensors]
    for index, tensors in enumerate(after):
        optimiser = Optimiser(
            cosine(params.learning_rate, index + 1, params.rounds),
            params.momentum,
            params.weight_decay,
        )
        assert backend.phases[index] == phases_of(clients)
        drawn = {name: batches(part, name, index, params, recipe) for name, part in data.items()}
        current, _ = server_round(current, clients, drawn, recipe, optimiser, clip)
        assert_close(official_state(tensors), current)
    assert backend.phases[0] == "ppp"
    assert len({*backend.phases, phases_of(clients)}) >= 3, backend.phases


def phases_of(clients: Mapping[str, Client]) -> str:
    """Return a letter per client: p for the PromptFormer phase, L for LoRA."""
    return "".join("L" if client.lora else "p" for client in clients.values())


class Recording(InProcessBackend):
    """Keeps what the server sent at the start of each round, and the phases then."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.received: list[Mapping[str, Tensor]] = []
        self.phases: list[str] = []

    def run(
        self,
        tensors: Mapping[str, Tensor],
        clients: Sequence[str],
        round_index: int,
        learning_rate: float,
        extra: Mapping[str, Mapping[str, Tensor]] | None = None,
        since: Mapping[str, int] | None = None,
    ) -> Iterator[ClientUpdate | Failure]:
        self.received.append({name: tensor.clone() for name, tensor in tensors.items()})
        phases = [self.states.before(name, round_index).phase for name in self.clients]
        self.phases.append("".join("L" if phase == "lora" else "p" for phase in phases))
        return super().run(tensors, clients, round_index, learning_rate, extra, since)


def test_half_precision_mean_of_the_official_code() -> None:
    """Sums in fp16, one client after the other, then one division: equal bit for bit.

    30 values near 2 add up to about 60, where fp16 steps by 1/32: the rounding shows.
    """
    generator = torch.Generator().manual_seed(0)
    sent = [2 + torch.rand(50, generator=generator).half().float() for _ in range(30)]
    updates = [ClientUpdate(str(i), {"w": w}, 1, "all", {}, 0) for i, w in enumerate(sent)]
    ours = federated_average({"w": torch.zeros(50)}, updates, dtype="float16")["w"]
    recipe = replace(OFFICIAL, half_precision_mean=True)
    reference = average({"w": torch.zeros(50)}, [{"w": w} for w in sent], recipe)["w"]
    assert torch.equal(ours.double(), reference)
    exact = torch.stack(sent).double().mean(dim=0)
    assert float((ours - exact).abs().max()) > 1e-3


@pytest.mark.parametrize("phases", ["pp", "pL", "LL"])
def test_averages_of_mixed_phases(phases: str) -> None:
    """θ over phase-1 clients, φ over phase-2 clients, what nobody sent stays.

    θ = 1 and φ = 1 before; clients 1 and 2 send 2 and 5 of their own phase's tensor.
    """
    expected = {"pp": (3.5, 1.0), "pL": (2.0, 5.0), "LL": (1.0, 3.5)}[phases]
    updates = [
        ClientUpdate(
            str(i), {"theta" if phase == "p" else "phi": torch.full((3,), value)}, 1, phase, {}, 0
        )
        for i, (phase, value) in enumerate(zip(phases, (2.0, 5.0), strict=True))
    ]
    out = federated_average({"theta": torch.ones(3), "phi": torch.ones(3)}, updates)
    assert (float(out["theta"][0]), float(out["phi"][0])) == expected
    reference = average(
        {"theta": torch.ones(3), "phi": torch.ones(3)}, [u.tensors for u in updates], PAPER
    )
    assert all(torch.equal(out[name], reference[name]) for name in out)
