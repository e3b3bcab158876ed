"""FedOTP's transport plan, and what of its prompts is personal."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from fedmvp.clip.backbone import Backbone
from fedmvp.methods.fedotp import FedOTP
from fedmvp.methods.transport import transport_plan
from tests.reference_baselines.transport import partial_transport
from tests.toys import NAMES, toy_bank, toy_client
from tests.unit.baselines.started import TOLERANCE, create, gradients
from tests.unit.baselines.test_reference import client, gap

pytestmark = pytest.mark.usefixtures("words")


def similarities(problems: int = 3, tokens: int = 7) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.rand(problems, tokens, 2, generator=generator) * 1.2 - 0.2


def plan(similarity: Tensor, **changes: Any) -> Tensor:
    numbers: dict[str, Any] = {
        "epsilon": 0.1,
        "mass": 0.8,
        "partial": True,
        "iterations": 100,
        "threshold": 1e-3,
    }
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
