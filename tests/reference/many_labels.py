"""The multi-label head and its losses as loops over images, views and classes, in float64.

Shapes: S side of a view, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

ABSENT, SHOWN, UNKNOWN = 0, 1, -1


def tiles(image: Tensor, grid: int, *, whole: bool) -> list[Tensor]:
    """Cut an image [3, gS, gS] into views [3, S, S], row by row; the last may be all of it."""
    side = image.shape[-1] // grid
    views = []
    for row in range(grid):
        for column in range(grid):
            top, left = row * side, column * side
            views.append(image[:, top : top + side, left : left + side])
    if whole:
        small = torch.zeros(3, side, side, dtype=image.dtype)
        for y in range(side):
            for x in range(side):
                block = image[:, y * grid : (y + 1) * grid, x * grid : (x + 1) * grid]
                small[:, y, x] = block.sum(dim=(1, 2)) / grid**2
        views.append(small)
    return views


def class_logits(
    views: Sequence[Tensor],
    cosines: Callable[[Tensor], Tensor],
    log_scale: Tensor,
    bias: Tensor,
) -> list[Tensor]:
    """Return a · max over views of cos + b of every class."""
    found = [cosines(view) for view in views]
    logits = []
    for k in range(len(found[0])):
        best = found[0][k]
        for view in found[1:]:
            if view[k] > best:
                best = view[k]
        logits.append(torch.exp(log_scale) * best + bias)
    return logits


def pair_loss(x: Tensor, label: int, *, minus: float, plus: float, clip: float) -> Tensor:
    """Return the asymmetric loss of one pair; with plain weights of the focusing factors."""
    p = 1 / (1 + math.exp(-float(x.detach())))
    if label == SHOWN:
        return float((1 - p) ** plus) * torch.log1p(torch.exp(-x))
    shifted = max(p - clip, 0.0)
    if shifted == 0.0:
        return 0 * x
    return -(shifted**minus) * torch.log(1 / (1 + torch.exp(x)) + clip)


def plain_loss(x: Tensor, label: int) -> Tensor:
    """Return the binary cross-entropy of one pair."""
    return torch.log1p(torch.exp(-x)) if label == SHOWN else torch.log1p(torch.exp(x))


def mean_loss(
    logits: Sequence[Sequence[Tensor]],
    labels: Sequence[Sequence[int]],
    of_pair: Callable[[Tensor, int], Tensor],
) -> Tensor:
    """Return the mean over images with a known label of K / known · Σ over known classes."""
    sums = []
    for row, marks in zip(logits, labels, strict=True):
        known = [(x, mark) for x, mark in zip(row, marks, strict=True) if mark != UNKNOWN]
        if known:
            total = sum((of_pair(x, mark) for x, mark in known), torch.zeros((), dtype=x_type(row)))
            sums.append(total * len(marks) / len(known))
    return torch.stack(sums).sum() / len(sums)


def x_type(row: Sequence[Tensor]) -> torch.dtype:
    """Return the number type of a row of logits."""
    return row[0].dtype
