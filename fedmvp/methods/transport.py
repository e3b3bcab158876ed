"""Image tokens matched to prompts by optimal transport: Sinkhorn scaling in the log domain.

See docs/method.md#transport. Each problem stops by itself, so that its result does not depend on
the rest of the batch. Sums are float64: with small epsilon, the scaling vectors would leave the
range of float32.

Shapes: P problems, B images, K classes, M image tokens, Q prompts, e joint embedding.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from fedmvp.clip.backbone import Backbone

__all__ = ["matched", "patch_features", "transport_plan"]


def patch_features(backbone: Backbone, images: Tensor) -> Tensor:
    """Return images' normalised output tokens without CLS, [B, 3, S, S] → [B, M, e]."""
    tower = backbone.vision
    with torch.no_grad(), backbone.autocast():
        tokens = tower.tokens(tower.embed(images))[:, 1:]
    return F.normalize(tokens.float(), dim=-1)


def matched(
    tokens: Tensor, texts: Tensor, plan: Callable[[Tensor], Tensor], memory_budget_mib: float
) -> Tensor:
    """Return Σ T ⊙ sim of every image and class, [B, M, e] and [K, Q, e] → [B, K].

    Parameters
    ----------
    plan : callable
        Similarities [P, M, Q] → T.
    memory_budget_mib : float
        As many images are processed together as six float64 copies of their similarities fit in.
    """
    bytes_per_image = 6 * 8 * texts.shape[1] * tokens.shape[1] * len(texts)
    size = max(1, int(memory_budget_mib * 2**20 / bytes_per_image))

    def part(some: Tensor) -> Tensor:
        similarity = torch.einsum("bme,kqe->bkmq", some, texts)
        chosen = plan(similarity.detach().flatten(0, 1))
        return (chosen.view_as(similarity) * similarity).sum(dim=(2, 3))

    return torch.cat([part(some) for some in torch.split(tokens, size)])


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
        Most iterations.
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
