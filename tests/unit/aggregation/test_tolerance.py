"""How many wrong clients a robust rule withstands, and what happens where it cannot."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from fedmvp.errors import ConfigError
from fedmvp.federation.aggregation.robust import RULES, require_tolerance, tolerance_gap
from fedmvp.federation.client import ClientUpdate
from tests.toys import federation
from tests.unit.aggregation.updates import aggregate, three, update


@pytest.mark.parametrize(
    ("section", "least"),
    [
        ({"aggregation": "median", "byzantine": 1}, 3),  # 2·1 + 1
        ({"aggregation": "median", "byzantine": 3}, 7),
        ({"aggregation": "krum", "byzantine": 1}, 5),  # 2·1 + 3
        ({"aggregation": "krum", "byzantine": 3}, 9),
        ({"aggregation": "multi_krum", "byzantine": 1, "krum_keep": 5}, 6),  # 5 + 1
        ({"aggregation": "multi_krum", "byzantine": 3, "krum_keep": 2}, 9),  # as Krum
        ({"aggregation": "trimmed_mean", "byzantine": 1, "trim_fraction": 0.1}, 10),
        ({"aggregation": "trimmed_mean", "byzantine": 2, "trim_fraction": 0.29}, 7),  # ⌊2.03⌋
    ],
)
def test_the_smallest_round_that_withstands_f_wrong_clients(
    section: dict[str, Any], least: int
) -> None:
    params = federation(**section)
    assert [m for m in range(1, 12) if tolerance_gap(params, m) is None] == [*range(least, 12)]


def test_none_expected_or_nothing_promised() -> None:
    for rule in RULES:
        assert tolerance_gap(federation(aggregation=rule, byzantine=0), 1) is None
    assert tolerance_gap(federation(aggregation="fedavg", byzantine=5), 1) is None


@pytest.mark.parametrize(
    ("section", "arithmetic"),
    [
        ({"aggregation": "trimmed_mean"}, "⌊0.1·3⌋ = 0 at each end, 1 would have to be cut"),
        ({"aggregation": "krum"}, "2·1 + 3 = 5 clients"),
        ({"aggregation": "multi_krum"}, "2·1 + 3 = 5 clients"),
        ({"aggregation": "median", "byzantine": 2}, "2·2 + 1 = 5 clients"),
    ],
)
def test_a_federation_of_too_small_rounds_is_refused_with_the_arithmetic(
    section: dict[str, Any], arithmetic: str
) -> None:
    """Three of 21 clients a round."""
    params = federation(participation=0.15, **section)
    with pytest.raises(ConfigError) as caught:
        require_tolerance(params, 21, "main")
    message = str(caught.value)
    assert "wrong of 3 clients a round (fold main, 21 clients): " in message
    assert arithmetic in message and "byzantine: 0" in message and "\n" not in message


def test_the_hint_names_a_participation_that_is_accepted() -> None:
    params = federation(participation=0.15, aggregation="trimmed_mean")
    with pytest.raises(
        ConfigError, match=r"at least 10 clients a round it can.*participation 0\.477"
    ):
        require_tolerance(params, 21, "main")
    require_tolerance(federation(participation=0.477, aggregation="trimmed_mean"), 21, "main")
    with pytest.raises(ConfigError, match=r"no cohort of these 4 can"):
        require_tolerance(federation(aggregation="krum"), 4, "main")


@pytest.mark.parametrize("rule", list(RULES))
def test_one_attacker_of_three_moves_nothing(rule: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Where a median withstands it; the others leave the tensors as they were, and say why once."""
    clients = [update("a", w=[1.0]), update("b", w=[2.0]), update("x", w=[1e6])]
    result, _ = aggregate({"w": [0.0]}, clients, aggregation=rule)
    assert result == ({"w": [2.0]} if rule == "median" else {"w": [0.0]})
    told = capsys.readouterr().err.splitlines()
    assert len(told) == (rule != "median")
    assert all(line.startswith("warning: round 0: tensors sent by 3 of 3 clients") for line in told)


def test_a_phase_with_one_client_in_it_is_not_handed_to_that_client() -> None:
    attacker = ClientUpdate("x", {"phi": torch.tensor([1e6])}, 1, "lora", {}, 0)
    start = {"w": [0.0], "phi": [0.0]}
    result, _ = aggregate(start, [*three(), attacker], aggregation="median")
    assert result == {"w": [2.0], "phi": [0.0]}
