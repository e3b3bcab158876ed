"""Learning rate per round, and which clients a round selects (docs/method.md#rounds)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fedmvp.seeds import numpy_generator

__all__ = ["cohort", "cohort_size", "learning_rate", "never_selected"]


def learning_rate(schedule: str, base: float, round_index: int, rounds: int) -> float:
    """Return the client learning rate of a round.

    Parameters
    ----------
    schedule : {"cosine", "constant"}
        Cosine falls to 0 over `rounds`, one step per server round: every client of a round uses
        the same rate, however often it took part (docs/method.md#defect-learning-rate).
    round_index : int
        From 0.

    Examples
    --------
    >>> f"{learning_rate('cosine', 0.003, 9, 500):.4e}"   # FedTPG's log prints round 10
    '2.9976e-03'
    """
    if schedule == "constant":
        return base
    return base * 0.5 * (1 + math.cos(math.pi * round_index / rounds))


def cohort_size(clients: int, participation: float) -> int:
    """Return how many of N clients a round selects: max(int(p N), 1), as in FedTPG's server."""
    return min(max(int(participation * clients + 1e-9), 1), clients)


def cohort(clients: Sequence[str], participation: float, seed: int, round_index: int) -> list[str]:
    """Return the clients of a round, without replacement, in their given order."""
    count = cohort_size(len(clients), participation)
    if count == len(clients):
        return list(clients)
    draw = numpy_generator(seed, "cohort", round_index).choice(
        len(clients), size=count, replace=False
    )
    return [clients[i] for i in sorted(int(i) for i in draw)]


def never_selected(
    clients: Sequence[str], participation: float, seed: int, rounds: int
) -> list[str]:
    """Return the clients that no round selects, in their given order."""
    chosen = {
        name for index in range(rounds) for name in cohort(clients, participation, seed, index)
    }
    return [name for name in clients if name not in chosen]
