"""The personalised methods and their kin against their plain reference: 1e-5 in fp32."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fedmvp.clip.backbone import Backbone
from fedmvp.federation.client import ClientState, train_client
from fedmvp.methods.base import Method
from fedmvp.seeds import torch_generator
from tests.bridge import batches_of
from tests.reference.federated import Optimiser, sgd_step
from tests.reference_baselines.peer_losses import slopes
from tests.reference_baselines.peers import GLOBAL, LOGITS
from tests.toys import federation
from tests.unit.baselines.test_reference import (
    SHAPES,
    TOLERANCE,
    client,
    create,
    doubles,
    gap,
    plain,
    spoken,
)

pytestmark = pytest.mark.usefixtures("words")


@pytest.fixture(params=SHAPES)
def shaped(request: pytest.FixtureRequest) -> Backbone:
    found: Backbone = request.getfixturevalue(request.param)
    return found


@pytest.mark.parametrize("name", LOGITS)
@pytest.mark.parametrize("who", ["client", "server"])
def test_logits(shaped: Backbone, name: str, who: str) -> None:
    reference = {**LOGITS, **GLOBAL} if who == "server" else LOGITS
    method = create(name, shaped)
    method.enter(None if who == "server" else method.first_phase)
    data = client(shaped, images=2)
    images = shaped.normalise(data.images)
    names, model, state = spoken(data.classes.names), plain(shaped), doubles(method)
    with torch.no_grad():
        ours = method.logits(images, data.classes)
        expected = [reference[name](image, state, names, model) for image in images.double()]
    assert gap(ours, torch.stack(expected)) <= TOLERANCE


@pytest.mark.parametrize("name", LOGITS)
@pytest.mark.parametrize("shape", ["tiny", pytest.param("picto", marks=pytest.mark.minutes)])
def test_client_update(request: pytest.FixtureRequest, shape: str, name: str) -> None:
    """Two epochs of two batches, the second of one image, with momentum and weight decay."""
    backbone: Backbone = request.getfixturevalue(shape)
    large = shape == "picto"  # one step there
    method, data = create(name, backbone), client(backbone, images=2 if large else 3)
    spread(method)
    state = doubles(method)
    params = federation(local_epochs=1 if large else 2, batch_size=2)
    kept = ClientState(method.first_phase)
    start = {key: tensor.detach().clone() for key, tensor in method.tensors().items()}
    update = train_client(
        method, "c", data, start, kept, params, learning_rate=0.01, seed=7, round_index=3
    )

    trained, buffers = method.trainable(method.first_phase), dict[str, torch.Tensor]()
    names, model = spoken(data.classes.names), plain(backbone)
    optimiser = Optimiser(0.01, params.momentum, params.weight_decay)
    epochs = batches_of(data, "c", 3, params, 7, one_flip=False, last_only=False)
    for batch in (batch for batches in epochs for batch in batches):
        leaves = {
            key: tensor.clone().requires_grad_(key in trained) for key, tensor in state.items()
        }
        found = slopes(name, batch.images, batch.labels, leaves, names, model)
        assert set(found) == set(trained)
        sgd_step(state, found, buffers, optimiser)
    if name == "fedmgp":
        order = places(start, state)
        state = {key: state[order.get(key, key)] for key in state}

    ours = {**update.tensors, **kept.personal}
    assert set(update.tensors) | set(trained) <= set(ours)
    for key in trained:
        assert gap(ours[key], state[key]) <= TOLERANCE, key
        # Softmax does not see what is common to all experts, or to all classes.
        still = large or (key.startswith("gate.") and key.endswith(".bias"))
        assert still or gap(start[key], state[key]) > 2 * TOLERANCE, f"{key} did not move"


@torch.no_grad()
def spread(method: Method) -> None:
    """Move experts far apart, so that it matters which of them the gate looks at."""
    draw = torch.Generator().manual_seed(4)
    for key, tensor in method.tensors().items():
        if key.startswith("experts."):
            tensor.add_(torch.randn(tensor.shape, generator=draw))


def places(start: dict[str, torch.Tensor], state: dict[str, torch.Tensor]) -> dict[str, str]:
    """Return FedMGP's order of groups: two drawn by their likeness to what was received."""
    draw, order = torch_generator(7, "places", "c", 3), {}
    for kind in ("text", "vision"):
        likeness = []
        for g in range(5):
            one = state[f"{kind}.{g}"].flatten()
            others = [start[f"{kind}.{j}"].double().flatten() for j in range(2)]
            likeness.append(max(float(one @ o / (one.norm() * o.norm())) for o in others))
        shares = np.exp(likeness) / np.exp(likeness).sum()
        first = torch.multinomial(torch.tensor(shares), 2, generator=draw).tolist()
        rest = [g for g in range(5) if g not in first]
        order |= {f"{kind}.{new}": f"{kind}.{old}" for new, old in enumerate([*first, *rest])}
    assert any(new != old for new, old in order.items())
    return order
