"""What every method promises, as checks that need only its name and section.

`check_method(name, params)` runs them all on random towers; a new method is tested by adding it to
`fedmvp.methods.METHODS`. A check is one function of a `Case`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from fedmvp.clip.backbone import Backbone
from fedmvp.federation.aggregation.rules import federated_average
from fedmvp.federation.client import ClientState, load_tensors, train_client
from tests.contracts.case import OTHER, SEEN, Case, copies, equal
from tests.toys import NAMES, toy_bank, toy_client


def initial_tensors_are_reproducible(case: Case) -> None:
    """Same seed, same bits; the global generator is not read."""
    before = torch.get_rng_state()
    assert equal(copies(case.create(1)), copies(case.create(1)))
    assert torch.equal(torch.get_rng_state(), before)


def learned_tensors_are_fp32_and_only_its_own(case: Case) -> None:
    """Nothing of the backbone is the method's, no buffer hides state, all of it can be saved."""
    method = case.create()
    frozen = {tensor.data_ptr() for tensor in case.backbone.parameters()}
    for name, tensor in method.tensors().items():
        assert tensor.dtype == torch.float32, name
        assert tensor.data_ptr() not in frozen, name
        assert "@" not in name, name
    assert set(method.state_dict()) == set(method.tensors())
    assert bool(method.tensors()) == method.trained


def logits_have_their_shape(case: Case) -> None:
    for names in (SEEN, SEEN[:2], OTHER):
        scores = case.scores(case.create(), names)
        assert scores.shape == (8, len(names))
        assert scores.dtype == torch.float32
        assert bool(scores.isfinite().all())


def logits_are_deterministic(case: Case) -> None:
    one, other = case.create(shaken=True), case.create(shaken=True)
    first = case.scores(one, SEEN)
    assert torch.equal(first, case.scores(one, SEEN))
    assert torch.equal(first, case.scores(other, SEEN))


def class_order_is_irrelevant(case: Case) -> None:
    """Permuting the classes permutes the logits."""
    method = case.create(shaken=True)
    order = [2, 0, 3, 1]
    plain = case.scores(method, SEEN)
    turned = case.scores(method, tuple(SEEN[i] for i in order))
    assert (plain[:, order] - turned).abs().max() <= 1e-4


def images_do_not_influence_each_other(case: Case) -> None:
    method = case.create(shaken=True)
    method.enter(None)
    classes = case.bank.select(SEEN)
    with torch.no_grad():
        together = method.logits(case.images, classes)
        alone = torch.cat([method.logits(image[None], classes) for image in case.images])
    assert (together - alone).abs().max() <= 1e-4


def logits_follow_the_tensors(case: Case) -> None:
    """No stale cache: other tensors, other logits; the first ones again, the first logits."""
    method = case.create(shaken=True)
    if not method.trained:
        return
    start = copies(method)
    first = case.scores(method, SEEN)
    draw = torch.Generator().manual_seed(9)
    moved = {
        name: tensor + 0.5 * torch.randn(tensor.shape, generator=draw)
        for name, tensor in start.items()
    }
    load_tensors(method, moved)
    assert not torch.equal(case.scores(method, SEEN), first)
    load_tensors(method, start)
    assert torch.equal(case.scores(method, SEEN), first)


def logits_follow_the_class_set(case: Case) -> None:
    """No stale cache: classes of the same number from another dataset are other classes."""
    method = case.create(shaken=True)
    first = case.scores(method, SEEN)
    other = toy_bank(case.backbone, "others", [f"{name} thing" for name in NAMES])
    with torch.no_grad():
        second = method.logits(case.images, other.select(other.names[:4]))
    assert not torch.equal(first, second)
    assert torch.equal(case.scores(method, SEEN), first)


def phases_name_their_tensors(case: Case) -> None:
    """Trained, sent and downloaded tensors exist; what is sent can be trained or is constant."""
    method = case.create()
    names = set(method.tensors())
    for phase in case.phases(method):
        for chosen in (
            method.trainable(phase),
            method.communicated(phase),
            method.downloaded(phase),
        ):
            assert len(set(chosen)) == len(chosen)
            assert set(chosen) <= names
        assert set(method.communicated(phase)) <= set(method.downloaded(phase))
        kept = set(method.trainable(phase)) - set(method.communicated(phase))
        assert bool(kept) == method.personal


def gradient_reaches_every_trained_tensor(case: Case) -> None:
    """A tensor without a gradient is not a parameter; start values are moved, as zeros block."""
    method = case.create(shaken=True)
    for phase in case.phases(method) if method.trained else ():
        method.enter(phase)
        batch = case.data.batch(np.arange(8), torch.Generator().manual_seed(1))
        loss = method.loss(batch, case.data.classes)
        assert loss.total.ndim == 0
        assert loss.logits.shape == (8, 4)
        tensors = method.tensors()
        names = method.trainable(phase)
        slopes = torch.autograd.grad(
            loss.total, [tensors[name] for name in names], allow_unused=True
        )
        for name, slope in zip(names, slopes, strict=True):
            assert slope is not None, f"no gradient reaches {name}"
            assert bool(slope.isfinite().all()), name
            assert bool(slope.any()), f"the gradient of {name} is zero"


def client_updates_are_deterministic(case: Case) -> None:
    """Also from a workspace other clients have used."""
    method = case.create()
    for phase in case.phases(method) if method.trained else ():
        start = copies(case.create(shaken=True))
        one = case.train(method, phase, start)
        case.train(method, phase, copies(case.create(seed=2)), round_index=3)
        again = case.train(method, phase, start)
        assert equal(dict(one.tensors), dict(again.tensors))
        assert one.metrics == again.metrics
        assert one.metrics.keys() >= {"loss", "loss_ce", "accuracy"}
        moved = [n for n in one.tensors if not torch.equal(one.tensors[n], start[n])]
        trained = set(method.trainable(phase)) & set(one.tensors)
        assert trained and set(moved) == trained


def the_backbone_stays_frozen(case: Case) -> None:
    """Bit-unchanged by a client update, no gradient left on it."""
    method = case.create()
    before = {name: tensor.clone() for name, tensor in case.backbone.state_dict().items()}
    for phase in case.phases(method) if method.trained else ():
        case.train(method, phase)
    after = case.backbone.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert all(not p.requires_grad and p.grad is None for p in case.backbone.parameters())


def communicated_keys_are_stable(case: Case) -> None:
    """Round after round, and whatever the classes, the same names and shapes travel."""
    method = case.create()
    for phase in case.phases(method) if method.trained else ():
        tensors = copies(method)
        shapes = []
        for index in range(3):
            update = case.train(method, phase, tensors, round_index=index)
            shapes.append({name: tensor.shape for name, tensor in update.tensors.items()})
            assert list(update.tensors) == method.communicated(phase)
            tensors |= update.tensors
        assert shapes[0] == shapes[1] == shapes[2]
        other = toy_client(case.bank, OTHER, per_class=2)
        update = train_client(
            method,
            "other",
            other,
            tensors,
            ClientState(phase),
            case.federation,
            learning_rate=0.01,
            seed=1,
            round_index=0,
        )
        assert {name: tensor.shape for name, tensor in update.tensors.items()} == shapes[0]


def equal_updates_are_their_own_average(case: Case) -> None:
    """Three clients that send the same leave the server with it, bit for bit."""
    method = case.create()
    for phase in case.phases(method) if method.trained else ():
        start = copies(method)
        update = case.train(method, phase, start)
        for weighting in ("uniform", "samples"):
            out = federated_average(start, [update] * 3, weighting=weighting)
            assert list(out) == list(start)
            for name, tensor in out.items():
                assert torch.equal(tensor, update.tensors.get(name, start[name])), name


def unseen_classes_can_be_classified(case: Case) -> None:
    """After training on some classes, others of any number are classified by the same state."""
    method = case.create()
    for phase in case.phases(method) if method.trained else ():
        load_tensors(method, case.train(method, phase).tensors)
    names = set(method.tensors())
    for chosen in (OTHER, (OTHER[0],), NAMES):
        assert bool(case.scores(method, chosen).isfinite().all())
    assert set(method.tensors()) == names


def training_lowers_the_loss(case: Case) -> None:
    """Ten steps on eight images: lower than at the start."""
    method = case.create()
    if not method.trained:
        return
    phase = method.first_phase
    params = case.federation.model_copy(update={"batch_size": 8, "local_epochs": 1})
    state, tensors, losses = ClientState(phase), copies(method), []
    for _ in range(10):
        update = train_client(
            method,
            "client",
            case.data,
            tensors,
            state,
            params,
            learning_rate=0.02,
            seed=1,
            round_index=0,
        )
        state.phase = phase
        tensors |= update.tensors
        losses.append(update.metrics["loss"])
    assert losses[-1] < losses[0], losses


CHECKS: tuple[Callable[[Case], None], ...] = (
    initial_tensors_are_reproducible,
    learned_tensors_are_fp32_and_only_its_own,
    logits_have_their_shape,
    logits_are_deterministic,
    class_order_is_irrelevant,
    images_do_not_influence_each_other,
    logits_follow_the_tensors,
    logits_follow_the_class_set,
    phases_name_their_tensors,
    gradient_reaches_every_trained_tensor,
    client_updates_are_deterministic,
    the_backbone_stays_frozen,
    communicated_keys_are_stable,
    equal_updates_are_their_own_average,
    unseen_classes_can_be_classified,
    training_lowers_the_loss,
)


def check_method(name: str, params: Mapping[str, Any], backbone: Backbone) -> None:
    """Run every check of the contract on a method.

    Raises
    ------
    AssertionError
        From the first promise that is broken.
    """
    case = Case(name, params, backbone)
    for check in CHECKS:
        check(case)
