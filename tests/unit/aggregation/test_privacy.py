"""Client-level differential privacy: clipping, noise, denominator, ε."""

from __future__ import annotations

import math
import sys
from typing import Any

import pytest
import torch
from torch import Tensor

from fedmvp.config import DifferentialPrivacyParams, FederationParams, parse_section
from fedmvp.errors import ConfigError
from fedmvp.federation.aggregation.privacy import epsilon, privacy_reports, private_average
from fedmvp.federation.aggregation.rules import Aggregator
from fedmvp.federation.client import ClientUpdate
from fedmvp.partition.model import Client, Partition, Target
from tests.toys import federation


def section(**changes: float) -> DifferentialPrivacyParams:
    return DifferentialPrivacyParams(
        **{"clip_norm": 1.0, "noise_multiplier": 0.0, "delta": 1e-5, **changes}
    )


def update(client: str, **tensors: Any) -> ClientUpdate:
    values = {name: torch.as_tensor(tensor).float() for name, tensor in tensors.items()}
    return ClientUpdate(client, values, 1, "all", {}, 0)


def average(
    current: dict[str, Tensor],
    updates: list[ClientUpdate],
    privacy: DifferentialPrivacyParams,
    clients: int | None = None,
    seed: int = 1,
    round_index: int = 0,
) -> dict[str, Tensor]:
    return private_average(
        current,
        updates,
        privacy,
        clients=clients or len(updates),
        seed=seed,
        round_index=round_index,
    )


def test_without_noise_it_is_the_mean_of_clipped_updates() -> None:
    """Δ = (3, 4) has norm 5, clipped to 1: (0.6, 0.8); Δ = (0, 0.5) stays: mean (0.3, 0.65)."""
    current = {"w": torch.tensor([1.0, 2.0])}
    clients = [update("a", w=[4.0, 6.0]), update("b", w=[1.0, 2.5])]
    result = average(current, clients, section())["w"] - current["w"]
    assert result.tolist() == pytest.approx([0.3, 0.65], abs=1e-6)


def test_an_update_of_norm_zero_is_no_division_by_zero() -> None:
    current = {"w": torch.tensor([1.0, 2.0])}
    assert torch.equal(average(current, [update("a", w=[1.0, 2.0])], section())["w"], current["w"])


def test_one_client_moves_the_sum_by_at_most_the_bound() -> None:
    """The sensitivity the accountant assumes: with and without a client, same denominator."""
    current = {"x": torch.zeros(3), "y": torch.zeros(2)}
    others = [update("a", x=[1.0, 0.0, 2.0], y=[0.0, 1.0])]
    wild = update("b", x=[1e6, -3e5, 0.1], y=[2.0, 9e7])
    privacy = section(clip_norm=0.25)
    without = average(current, others, privacy, clients=4)
    joined = average(current, [*others, wild], privacy, clients=4)
    moved = torch.cat([joined[name] - without[name] for name in current]).double()
    assert float(moved.norm()) == pytest.approx(0.25 / 4, rel=1e-5)


def test_denominator_is_the_clients_selected() -> None:
    """Of 4 selected clients 2 sent θ, 1 φ and one failed: sums over 4."""
    current = {"theta": torch.zeros(1), "phi": torch.zeros(1), "never": torch.zeros(1)}
    clients = [update("a", theta=[0.4]), update("b", theta=[0.8]), update("c", phi=[0.2])]
    result = average(current, clients, section(), clients=4)
    assert {name: tensor.item() for name, tensor in result.items()} == pytest.approx(
        {"theta": 0.3, "phi": 0.05, "never": 0.0}
    )


def test_noise_has_the_deviation_of_the_mechanism() -> None:
    """zS/m = 1.5 · 2 / 4 = 0.75 on the mean; over n draws its error is 0.75 / √(2n)."""
    size = 200_000
    current = {"w": torch.zeros(size), "own": torch.zeros(3)}
    clients = [update(c, w=torch.zeros(size)) for c in "abcd"]
    result = average(current, clients, section(clip_norm=2.0, noise_multiplier=1.5))
    noise = result["w"]
    assert float(noise.std()) == pytest.approx(0.75, abs=4 * 0.75 / math.sqrt(2 * size))
    assert float(noise.mean()) == pytest.approx(0.0, abs=4 * 0.75 / math.sqrt(size))
    # Gaussian: 68.27 % within one deviation.
    assert float((noise.abs() < 0.75).double().mean()) == pytest.approx(0.6827, abs=0.005)
    assert not result["own"].any()  # nobody sends it


def test_noise_is_derived_from_seed_round_and_tensor() -> None:
    current = {"x": torch.zeros(8), "y": torch.zeros(8)}
    clients = [update("a", x=torch.zeros(8), y=torch.zeros(8))]
    loud = section(noise_multiplier=1.0)

    def noise(seed: int, round_index: int) -> dict[str, Tensor]:
        return average(current, clients, loud, seed=seed, round_index=round_index)

    first = noise(1, 0)
    assert torch.equal(first["x"], noise(1, 0)["x"])
    others = (first["y"], noise(2, 0)["x"], noise(1, 1)["x"])
    assert not any(torch.equal(first["x"], other) for other in others)


def test_the_aggregator_applies_it() -> None:
    privacy = {"clip_norm": 1.0, "noise_multiplier": 0.0, "delta": 1e-5}
    rule = Aggregator(federation(privacy=privacy), {}, seed=1)
    result = rule({"w": torch.zeros(1)}, [update("a", w=[8.0])], 0, 2)
    assert result["w"].tolist() == [0.5]  # clipped to 1, over 2 selected


@pytest.mark.parametrize(
    ("change", "complaint"),
    [({"weighting": "samples"}, "weighting: uniform"), ({"aggregation": "krum"}, "fedavg")],
)
def test_what_breaks_the_sensitivity_bound_is_refused(
    change: dict[str, str], complaint: str
) -> None:
    values = federation().model_dump() | {"privacy": section().model_dump()} | change
    with pytest.raises(ConfigError, match=complaint):
        parse_section(FederationParams, values, "params.yaml: federation")


# --- ε ----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("noise", "rounds", "delta", "expected"),
    [
        # min over a > 1 of aT/(2z²) + log((a-1)/a) - (log δ + log a)/(a-1), reached at
        # a = 5.432, 9.603, 3.272 and 5.907.
        (1.0, 1, 1e-5, 4.7284),
        (2.0, 1, 1e-5, 2.1657),
        (5.0, 100, 1e-5, 10.7248),
        (10.0, 100, 1e-6, 5.2215),
    ],
)
def test_epsilon_of_full_participation(
    noise: float, rounds: int, delta: float, expected: float
) -> None:
    privacy = section(noise_multiplier=noise, delta=delta)
    value = epsilon(privacy, rounds=rounds, sampling=1.0)
    assert closed_form(noise, rounds, delta) == pytest.approx(expected, abs=1e-4)
    assert value == pytest.approx(expected, rel=1e-3)


def closed_form(noise: float, rounds: int, delta: float) -> float:
    """docs/method.md#differential-privacy, over a fine grid of orders."""
    orders = (1 + i / 1000 for i in range(1, 20_000))
    return min(
        a * rounds / (2 * noise**2) + math.log((a - 1) / a) - math.log(delta * a) / (a - 1)
        for a in orders
    )


@pytest.mark.slow
def test_sampling_fewer_clients_and_fewer_rounds_spend_less() -> None:
    privacy = section(noise_multiplier=1.0)
    full = epsilon(privacy, rounds=50, sampling=1.0)
    some = epsilon(privacy, rounds=50, sampling=0.1)
    fewer = epsilon(privacy, rounds=10, sampling=0.1)
    assert full is not None and some is not None and fewer is not None
    assert fewer < some < full


@pytest.mark.slow
def test_report_of_a_partition() -> None:
    params = federation(
        rounds=3,
        participation=0.5,
        privacy={"clip_norm": 1.0, "noise_multiplier": 2.0, "delta": 1e-3},
    )
    report = privacy_reports(partition(4), params)["privacy"]["main"]
    assert (report["clients"], report["clients_per_round"], report["rounds"]) == (4, 2, 3)
    assert report["epsilon"] == epsilon(
        section(noise_multiplier=2.0, delta=1e-3), rounds=3, sampling=0.5
    )
    assert "Poisson" in report["accountant"]


def test_without_noise_nothing_is_guaranteed() -> None:
    assert epsilon(section(), rounds=1, sampling=1.0) is None


def test_without_privacy_there_is_no_report() -> None:
    assert privacy_reports(partition(2), federation()) == {}


def test_missing_accountant_is_said_before_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opacus.accountants.analysis", None)
    params = federation(privacy={"clip_norm": 1.0, "noise_multiplier": 1.0, "delta": 1e-5})
    with pytest.raises(ConfigError, match="uv pip install opacus"):
        privacy_reports(partition(2), params)


def partition(clients: int) -> Partition:
    return Partition(
        setting="toy",
        protocol="base_to_new",
        split="by_image",
        clients=tuple(
            Client(f"toys-{i:03d}", "main", "toys", None, (f"class {i}",), (f"image {i}",))
            for i in range(clients)
        ),
        targets=(Target("toys", "main", "base", "toys", None, ("class 0",), ("test 0",)),),
    )
