"""Aggregation rules: properties every rule must have."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmvp.config import FederationParams, parse_section
from fedmvp.errors import ConfigError
from fedmvp.federation.aggregation.robust import RULES
from fedmvp.federation.aggregation.rules import Aggregator
from fedmvp.federation.aggregation.server import STEPS
from fedmvp.federation.client import ClientUpdate
from tests.toys import federation
from tests.unit.aggregation.updates import STATEFUL, aggregate, three, update

ALL = ("fedavg", "fedprox", *STEPS, *RULES)

Matrix = list[list[float]]
matrices = st.integers(1, 4).flatmap(
    lambda width: st.lists(
        st.lists(st.floats(-1e3, 1e3, width=32), min_size=width, max_size=width),
        min_size=1,
        max_size=7,
    )
)


def run(rule: str, matrix: Matrix, start: list[float], byzantine: int = 0) -> list[float]:
    clients = [update(f"c{i}", w=row) for i, row in enumerate(matrix)]
    return aggregate({"w": start}, clients, aggregation=rule, byzantine=byzantine)[0]["w"]


@pytest.mark.parametrize("rule", ALL)
def test_one_or_two_clients_are_enough(rule: str) -> None:
    for count in (1, 2):
        result, _ = aggregate({"w": [0.0]}, three()[:count], aggregation=rule, byzantine=0)
        assert math.isfinite(result["w"][0])


@pytest.mark.parametrize("rule", ALL)
def test_without_updates_everything_stays(rule: str) -> None:
    assert aggregate({"w": [7.0]}, [], aggregation=rule)[0] == {"w": [7.0]}


@pytest.mark.parametrize("rule", ["fedavg", "fedprox", *RULES])
@settings(deadline=None, max_examples=30)
@given(
    row=st.lists(
        st.floats(
            width=32, allow_nan=False, allow_infinity=False, min_value=-(2.0**60), max_value=2.0**60
        ),
        min_size=1,
        max_size=5,
    ),
    count=st.integers(1, 9),
)
def test_equal_updates_come_back_bit_for_bit(rule: str, row: list[float], count: int) -> None:
    assert run(rule, [row] * count, [0.0] * len(row)) == row


@pytest.mark.parametrize("rule", STATEFUL)
def test_clients_that_did_not_move_move_nothing(rule: str) -> None:
    assert run(rule, [[1.5, -2.0]] * 3, [1.5, -2.0]) == [1.5, -2.0]


@pytest.mark.parametrize("rule", [rule for rule in ALL if rule != "krum"])
@settings(deadline=None, max_examples=30)
@given(matrix=matrices, data=st.data())
def test_order_of_clients_does_not_matter(rule: str, matrix: Matrix, data: st.DataObject) -> None:
    """Krum is left out: between two best clients it takes the first."""
    rows = [row for i, row in enumerate(matrix) if row not in matrix[:i]]
    if rule == "multi_krum" and len(rows) > 5:
        rows = rows[:5]  # as many as are kept: no ties at the edge
    shuffled = data.draw(st.permutations(rows))
    start = [0.0] * len(rows[0])
    assert run(rule, shuffled, start) == pytest.approx(run(rule, rows, start), rel=1e-5, abs=1e-3)


@pytest.mark.parametrize("rule", ["fedavg", *RULES])
@settings(deadline=None, max_examples=30)
@given(matrix=matrices)
def test_result_lies_between_the_clients(rule: str, matrix: Matrix) -> None:
    for value, column in zip(
        run(rule, matrix, [0.0] * len(matrix[0])), zip(*matrix, strict=True), strict=True
    ):
        assert min(column) - 1e-3 <= value <= max(column) + 1e-3


@pytest.mark.parametrize("rule", ["median", "trimmed_mean", "krum"])
@settings(deadline=None, max_examples=30)
@given(
    honest=st.lists(st.floats(-1, 1, width=32), min_size=9, max_size=9),
    wrong=st.floats(1e3, 1e6, width=32),
)
def test_one_wrong_client_of_ten_moves_nothing_out_of_the_honest_range(
    rule: str, honest: list[float], wrong: float
) -> None:
    value = run(rule, [[x] for x in [*honest, wrong]], [0.0], byzantine=1)[0]
    assert min(honest) - 1e-6 <= value <= max(honest) + 1e-6


def test_fedavg_is_streamed(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than one update is alive at a time."""
    import weakref

    alive: list[weakref.ref[ClientUpdate]] = []

    def stream() -> Any:
        for i in range(5):
            one = update(f"c{i}", w=[float(i)])
            assert sum(ref() is not None for ref in alive) <= 1
            alive.append(weakref.ref(one))
            yield one
            del one

    for section in ({}, {"clip_norm": 1.0}, {"aggregation": "fedavgm"}):
        alive.clear()
        rule = Aggregator(federation(**section), {}, seed=1)
        rule({"w": torch.zeros(1)}, stream(), 0, 5)


@pytest.mark.parametrize("rule", list(RULES))
def test_robust_rules_refuse_weights(rule: str) -> None:
    section = federation().model_dump() | {"aggregation": rule, "weighting": "samples"}
    with pytest.raises(ConfigError, match=f"{rule} takes no weights"):
        parse_section(FederationParams, section, "params.yaml: federation")


def test_every_rule_of_the_section_is_implemented() -> None:
    values = FederationParams.model_fields["aggregation"].annotation
    assert set(getattr(values, "__args__", ())) == set(ALL)
