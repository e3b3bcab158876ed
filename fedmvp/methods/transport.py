"""Optimal transport between image tokens and prompts, by Sinkhorn scaling in the log domain.

See docs/method.md#transport. Each problem stops on its own, so that a result does not depend on
what else is in the batch, and sums are float64: at small epsilon the scaling vectors leave the
range of float32.

Shapes: P problems, M image tokens, Q prompts.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["transport_plan"]


@torch.no_grad()
def transport_plan(
    similarity: Tensor,
    *,
    epsilon: float,
    mass: float,
    partial: bool,
    iterations: int,
    threshold: float,
) -> Tensor:
    """Return the plan T for the cost 1 - similarity.

    Tokens have mass 1/M each, prompts mass/Q each. T = diag(u) KK diag(v) with
    KK = exp(-(1 - similarity) / epsilon); u and v start at one and are scaled in turn until the
    mean change of v falls below `threshold`.

    Parameters
    ----------
    similarity : Tensor of shape [P, M, Q]
    epsilon : float
        Weight of the entropy.
    mass : float
        γ, the prompts' total mass.
    partial : bool
        Keep u at most 1, so that a token may send less than it has (COT); otherwise every token
        sends all of its mass (Sinkhorn).
    iterations : int
        Most scalings.
    threshold : float

    Returns
    -------
    Tensor of shape [P, M, Q], of the dtype of `similarity`
        Without gradient.
    """
    kernel = (similarity.double() - 1) / epsilon
    count, prompts = kernel.shape[1:]
    log_token, log_prompt = -math.log(count), math.log(mass / prompts)
    u = kernel.new_zeros(kernel.shape[:2])
    v = kernel.new_zeros(len(kernel), prompts)
    running = torch.ones(len(kernel), dtype=torch.bool, device=kernel.device)
    for _ in range(iterations):
        rows = torch.nonzero(running).flatten()
        part = kernel[rows]
        scaled = log_token - torch.logsumexp(part + v[rows, None, :], dim=2)
        u[rows] = scaled.clamp(max=0.0) if partial else scaled
        new = log_prompt - torch.logsumexp(part + u[rows, :, None], dim=1)
        change = (new.exp() - v[rows].exp()).abs().mean(dim=1)
        v[rows] = new
        running[rows] = ~(change < threshold)
        if not bool(running.any()):
            break
    return (u[:, :, None] + kernel + v[:, None, :]).exp().to(similarity.dtype)
