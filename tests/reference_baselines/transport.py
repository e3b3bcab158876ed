"""Partial optimal transport between image tokens and two texts, in plain Python."""

from __future__ import annotations

import math
from collections.abc import Sequence


def partial_transport(
    similarity: Sequence[Sequence[float]],
    epsilon: float = 0.1,
    gamma: float = 0.8,
    iterations: int = 100,
    threshold: float = 1e-3,
) -> list[list[float]]:
    """COT with the scaling vectors themselves, not their logarithms: [M, 2] → T [M, 2]."""
    tokens = len(similarity)
    kernel = [[math.exp(-(1 - value) / epsilon) for value in row] for row in similarity]
    a, b = 1 / tokens, gamma / 2
    u, v = [1.0] * tokens, [1.0, 1.0]
    for _ in range(iterations):
        for i, row in enumerate(kernel):
            u[i] = min(1.0, a / (row[0] * v[0] + row[1] * v[1]))
        old = list(v)
        for j in (0, 1):
            v[j] = b / sum(row[j] * u[i] for i, row in enumerate(kernel))
        if (abs(v[0] - old[0]) + abs(v[1] - old[1])) / 2 < threshold:
            break
    return [[u[i] * row[j] * v[j] for j in (0, 1)] for i, row in enumerate(kernel)]
