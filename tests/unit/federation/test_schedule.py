"""Learning rates of FedTPG's log; cohorts without replacement."""

from __future__ import annotations

import pytest

from fedmvp.federation.schedule import cohort, learning_rate

CLIENTS = [f"c{i:02d}" for i in range(30)]


@pytest.mark.parametrize(
    ("round_number", "printed"),
    [
        (10, "2.9976e-03"),
        (50, "2.9295e-03"),
        (100, "2.7190e-03"),
        (200, "1.9725e-03"),
        (500, "2.9609e-08"),
    ],
)
def test_learning_rates_of_the_published_log(round_number: int, printed: str) -> None:
    """Round r of 500 at base 0.003, from FedTPG's log; our rounds count from 0."""
    assert f"{learning_rate('cosine', 0.003, round_number - 1, 500):.4e}" == printed


def test_first_round_has_the_base_rate_and_constant_stays() -> None:
    assert learning_rate("cosine", 0.003, 0, 10) == 0.003
    assert learning_rate("constant", 0.003, 7, 10) == 0.003


@pytest.mark.parametrize(
    ("participation", "count"), [(1.0, 30), (0.1, 3), (0.5, 15), (0.29, 8), (0.001, 1)]
)
def test_cohort_sizes(participation: float, count: int) -> None:
    """max(int(p N), 1), distinct, in the clients' order."""
    chosen = cohort(CLIENTS, participation, 1, 0)
    assert len(chosen) == len(set(chosen)) == count
    assert chosen == sorted(chosen)


def test_no_share_is_lost_to_rounding() -> None:
    """0.29 x 100 is 28.999… in binary; it means 29."""
    assert len(cohort([str(i) for i in range(100)], 0.29, 1, 0)) == 29


def test_cohorts_are_drawn_anew_each_round_and_again_the_same() -> None:
    rounds = [tuple(cohort(CLIENTS, 0.2, 1, index)) for index in range(20)]
    assert rounds == [tuple(cohort(CLIENTS, 0.2, 1, index)) for index in range(20)]
    assert len(set(rounds)) == 20
    assert set().union(*rounds) == set(CLIENTS)
    assert rounds != [tuple(cohort(CLIENTS, 0.2, 2, index)) for index in range(20)]
