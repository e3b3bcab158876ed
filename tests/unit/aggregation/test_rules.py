"""Aggregation rules: numbers derived by hand; phases; clipping."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmvp.federation.aggregation.clipping import clip_factor, clip_update, deltas
from fedmvp.federation.aggregation.robust import (
    blocks,
    krum_scores,
    median,
    squared_distances,
    trimmed_mean,
)
from fedmvp.federation.client import ClientUpdate
from tests.unit.aggregation.updates import STATEFUL, aggregate, three, update


def test_fedavg() -> None:
    """(1 + 2 + 6) / 3 = 3; with samples (1 + 2 + 2·6) / 4 = 3.75. FedProx's server is FedAvg."""
    assert aggregate({"w": [0.0]}, three())[0] == {"w": [3.0]}
    assert aggregate({"w": [0.0]}, three(), aggregation="fedprox")[0] == {"w": [3.0]}
    assert aggregate({"w": [0.0]}, three(), weighting="samples")[0] == {"w": [3.75]}


def test_fedavgm() -> None:
    """Momentum 0.5, rate 2, w = 1, mean 3: Δ̄ = 2, m = 2, w = 1 + 2·2 = 5.

    Then clients 2 lower, mean 1: Δ̄ = 1 - 5 = -4, m = 0.5·2 - 4 = -3, w = 5 - 6 = -1.
    """
    section: dict[str, Any] = {
        "aggregation": "fedavgm",
        "server_momentum": 0.5,
        "server_learning_rate": 2.0,
    }
    first, state = aggregate({"w": [1.0]}, three(), **section)
    assert first == {"w": [5.0]}
    lower = [update("a", w=[-1.0]), update("b", w=[0.0]), update("c", w=[4.0])]
    second, _ = aggregate({"w": [5.0]}, lower, state, **section)
    assert second == {"w": [-1.0]}


ADAPTIVE: dict[str, Any] = {
    "server_learning_rate": 0.1,
    "server_momentum": 0.5,
    "server_second_momentum": 0.75,
    "server_tau": 0.5,
}


def test_fedadam() -> None:
    """β1 0.5, β2 0.75, τ 0.5, η 0.1, w = 1, Δ̄ = 2: m = 1, v = 0.25·4 = 1, step 1 / 1.5.

    w = 1 + 0.1 / 1.5. Then Δ̄ = -1: m = 0.5 - 0.5 = 0, v = 0.75 + 0.25 = 1: w stays.
    """
    first, state = aggregate({"w": [1.0]}, three(), aggregation="fedadam", **ADAPTIVE)
    assert first["w"] == pytest.approx([1 + 0.1 / 1.5], abs=1e-7)
    moved = first["w"][0]
    second, after = aggregate(
        {"w": [moved]}, [update("a", w=[moved - 1])], state, aggregation="fedadam", **ADAPTIVE
    )
    assert second["w"] == pytest.approx([moved], abs=1e-7)
    assert after["second/w"].item() == pytest.approx(1.0, abs=1e-6)


def test_fedyogi() -> None:
    """As FedAdam first: v = 0 + 0.25·4 = 1. Then Δ̄ = 3: Δ̄² = 9 > v, so v = 1 + 0.25·9 = 3.25,
    m = 0.5·1 + 0.5·3 = 2, step 2 / (√3.25 + 0.5). Then Δ̄ = 1: 1 < v, so v = 3.25 - 0.25 = 3.
    """
    section = {"aggregation": "fedyogi", **ADAPTIVE}
    first, state = aggregate({"w": [1.0]}, three(), **section)
    assert first["w"] == pytest.approx([1 + 0.1 / 1.5], abs=1e-7)
    at = first["w"][0]
    second, state = aggregate({"w": [at]}, [update("a", w=[at + 3])], state, **section)
    assert second["w"] == pytest.approx([at + 0.1 * 2 / (math.sqrt(3.25) + 0.5)], abs=1e-6)
    assert state["second/w"].item() == pytest.approx(3.25, abs=1e-5)
    at = second["w"][0]
    _, state = aggregate({"w": [at]}, [update("a", w=[at + 1])], state, **section)
    assert state["second/w"].item() == pytest.approx(3.0, abs=1e-5)


@pytest.mark.parametrize("rule", ["fedadam", "fedyogi"])
def test_adaptive_rules_start_small_by_default(rule: str) -> None:
    """Whatever the updates' size, the first step is η · 0.1|Δ̄| / (√(0.01 Δ̄²) + 0.001) ≈ η."""
    for size in (0.1, 1.0, 100.0):
        after, _ = aggregate({"w": [0.0]}, [update("a", w=[size])], aggregation=rule)
        assert after["w"] == pytest.approx([1e-3], rel=0.1)
    assert aggregate({"w": [0.0]}, three(), aggregation="fedavgm")[0] == {"w": [3.0]}


def test_median() -> None:
    """Of 1, 2, 6: 2. Of 1, 2, 6, 100: (2 + 6) / 2 = 4. Each coordinate alone."""
    assert aggregate({"w": [0.0]}, three(), aggregation="median")[0] == {"w": [2.0]}
    four = [*three(), update("d", w=[100.0])]
    assert aggregate({"w": [0.0]}, four, aggregation="median")[0] == {"w": [4.0]}
    stack = torch.tensor([[1.0, 9.0], [2.0, 8.0], [3.0, 1.0]])
    assert median(stack).tolist() == [2.0, 8.0]


def test_trimmed_mean() -> None:
    """β = 0.25 of 4 cuts one at each end: (2 + 6) / 2 = 4; of 3 cuts ⌊0.75⌋ = 0: 3."""
    section: dict[str, Any] = {"aggregation": "trimmed_mean", "trim_fraction": 0.25}
    four = [*three(), update("d", w=[100.0])]
    assert aggregate({"w": [0.0]}, four, **section)[0] == {"w": [4.0]}
    assert aggregate({"w": [0.0]}, three(), byzantine=0, **section)[0] == {"w": [3.0]}
    # 0.29 · 100 is 28.999… in floating point; 29 are cut at each end of 0 … 99: mean 49.5.
    assert trimmed_mean(torch.arange(100.0)[:, None], 0.29).item() == 49.5


def five() -> list[ClientUpdate]:
    """Clients at 0, 1, 3, 10 on a line (second coordinate 0) and one far out at 50."""
    return [
        update(c, w=[x, 0.0]) for c, x in zip("abcde", (0.0, 1.0, 3.0, 10.0, 50.0), strict=True)
    ]


def test_krum_scores() -> None:
    """m = 5, f = 1: the 5 - 1 - 2 = 2 nearest.

    a: 1 + 9 = 10; b: 1 + 4 = 5; c: 4 + 9 = 13; d: 49 + 81 = 130; e: 1600 + 2209 = 3809.
    With f = 3 the count 5 - 3 - 2 = 0 is raised to 1.
    """
    members = [u.tensors for u in five()]
    scores = krum_scores(squared_distances(members, ["w"]), byzantine=1)
    assert scores.tolist() == [10.0, 5.0, 13.0, 130.0, 3809.0]
    nearest = krum_scores(squared_distances(members, ["w"]), byzantine=3)
    assert nearest.tolist() == [1.0, 1.0, 4.0, 49.0, 1600.0]


def test_krum() -> None:
    """The client at 1 scores best; Multi-Krum of 3 averages 0, 1 and 3."""
    start = {"w": [0.0, 0.0]}
    assert aggregate(start, five(), aggregation="krum")[0] == {"w": [1.0, 0.0]}
    section: dict[str, Any] = {"aggregation": "multi_krum", "krum_keep": 3}
    assert aggregate(start, five(), **section)[0]["w"] == pytest.approx([4 / 3, 0.0])
    # More than there are: the mean of all, 64 / 5.
    section |= {"krum_keep": 9, "byzantine": 0}
    assert aggregate(start, five(), **section)[0]["w"] == pytest.approx([12.8, 0.0])


def test_krum_measures_all_tensors_together() -> None:
    """By `x` alone a, b, c are near each other; with `y` only b and c are."""
    clients = [
        update("a", x=[0.0], y=[9.0]),
        update("b", x=[0.2], y=[0.0]),
        update("c", x=[0.1], y=[0.3]),
    ]
    members = [u.tensors for u in clients]
    assert squared_distances(members, ["x", "y"])[0].tolist() == pytest.approx(
        [0.0, 0.04 + 81, 0.01 + 75.69], abs=1e-6
    )
    result, _ = aggregate({"x": [0.0], "y": [0.0]}, clients, aggregation="krum", byzantine=0)
    assert result["y"] != [9.0]


# --- phases -----------------------------------------------------------------------------------


def phases() -> list[ClientUpdate]:
    """Three clients send θ, two φ."""
    return [
        update("a", theta=[1.0]),
        update("b", phi=[10.0]),
        update("c", theta=[2.0]),
        update("d", phi=[20.0]),
        update("e", theta=[6.0]),
    ]


def test_tensors_form_blocks_by_their_senders() -> None:
    clients = [update("a", x=[1.0], y=[1.0]), update("b", z=[1.0]), update("c", y=[1.0], x=[1.0])]
    assert blocks(clients) == {(0, 2): ["x", "y"], (1,): ["z"]}


@pytest.mark.parametrize(
    ("rule", "theta", "phi"), [("fedavg", 3.0, 15.0), ("median", 2.0, 15.0), ("krum", 1.0, 10.0)]
)
def test_each_phase_is_aggregated_over_its_own_clients(rule: str, theta: float, phi: float) -> None:
    """Krum: three θ, one neighbour each: 1, 1, 16, the first of the best; two φ: 100, 100."""
    start = {"theta": [0.0], "phi": [0.0], "own": [5.0]}
    result, _ = aggregate(start, phases(), aggregation=rule, byzantine=0)
    assert result == {"theta": [theta], "phi": [phi], "own": [5.0]}


@pytest.mark.parametrize("rule", STATEFUL)
def test_state_of_a_tensor_nobody_sent_stays(rule: str) -> None:
    start = {"theta": [0.0], "phi": [0.0]}
    _, state = aggregate(start, phases(), aggregation=rule)
    result, after = aggregate(start, [update("a", theta=[1.0])], state, aggregation=rule)
    assert result["phi"] == [0.0]
    assert torch.equal(after["momentum/phi"], state["momentum/phi"])
    assert not torch.equal(after["momentum/theta"], state["momentum/theta"])


# --- clipping ---------------------------------------------------------------------------------


def test_clipping_takes_the_norm_of_the_whole_update() -> None:
    """Δ = (3, 4, 12): norm 13; to 6.5 halves it: w = (1, 1, 1) + (1.5, 2, 6)."""
    current = {"x": torch.tensor([1.0, 1.0]), "y": torch.tensor([1.0])}
    clipped = clip_update(update("a", x=[4.0, 5.0], y=[13.0]), current, 6.5)
    assert clipped.tensors["x"].tolist() == [2.5, 3.0]
    assert clipped.tensors["y"].tolist() == [7.0]


def test_an_update_within_the_bound_is_untouched() -> None:
    current = {"x": torch.zeros(2)}
    inside = update("a", x=[3.0, 4.0])
    assert clip_update(inside, current, 5.0) is inside
    assert clip_factor(deltas(update("a", x=[0.0, 0.0]), current), 1e-12) == 1  # ‖Δ‖ = 0


def test_clipping_comes_before_the_rule() -> None:
    """Clients at 1, 2, 6 clipped to 2: (1 + 2 + 2) / 3; their median 2."""
    assert aggregate({"w": [0.0]}, three(), clip_norm=2.0)[0]["w"] == pytest.approx([5 / 3])
    assert aggregate({"w": [0.0]}, three(), clip_norm=1.5, aggregation="median")[0] == {"w": [1.5]}


@settings(deadline=None, max_examples=60)
@given(
    values=st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=8),
    bound=st.floats(1e-3, 1e3),
)
def test_clipped_norm_is_at_most_the_bound(values: list[float], bound: float) -> None:
    current = {"x": torch.zeros(len(values))}
    clipped = clip_update(update("a", x=values), current, bound)
    norm = float(clipped.tensors["x"].double().norm())
    assert norm <= bound * (1 + 1e-6)
    original = torch.tensor(values).double()
    whole = float(original.norm())
    factor = bound / whole if whole > bound else 1.0
    assert clipped.tensors["x"].tolist() == pytest.approx((factor * original).tolist(), rel=1e-6)
