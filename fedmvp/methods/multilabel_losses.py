"""Losses for images that show any number of classes (docs/multilabel.md#loss).

Everything is computed in float32 from logits, whatever precision the towers have: in half precision
1 - p is 0 for logits above 8, and its focusing factor is not a number.

Shapes: B images, K classes.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["asymmetric_loss", "binary_cross_entropy", "per_image_mean"]


def binary_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return max(x, 0) - x y + log(1 + exp(-|x|)) of every pair, [B, K]; exact for any x.

    Parameters
    ----------
    labels : Tensor of shape [B, K]
        1 for shown; anything else counts as absent.
    """
    x = logits.float()
    return F.softplus(x) - x * (labels == 1)


def asymmetric_loss(
    logits: Tensor, labels: Tensor, *, gamma_negative: float, gamma_positive: float, clip: float
) -> Tensor:
    """Return the asymmetric loss of every pair (Ridnik et al., ICCV 2021), [B, K].

    With p = sigmoid(x) and q = max(p - clip, 0): -(1 - p)^gamma_positive log p where the class is
    shown, -q^gamma_negative log(1 - q) where it is not. The focusing factors have no gradient. By
    design, an absent class that is predicted with near certainty has a bounded loss without
    gradient: such pairs are often mislabelled.
    """
    x = logits.float()
    p, absent = torch.sigmoid(x), torch.sigmoid(-x)  # 1 - p would round to 0 for large x
    shown = labels == 1
    with torch.no_grad():
        focus = torch.where(
            shown, absent**gamma_positive, (p - clip).clamp(min=0) ** gamma_negative
        )
    log_absent = (absent + clip).clamp(max=1).log() if clip else F.logsigmoid(-x)
    return -focus * torch.where(shown, F.logsigmoid(x), log_absent)


def per_image_mean(losses: Tensor, labels: Tensor) -> Tensor:
    """Return the mean over images of their sums over classes.

    Pairs with an unknown label (-1) are left out; an image's sum over its n known classes is
    multiplied by K / n, an unbiased estimate of the whole sum. Images without a known label do not
    count.

    Parameters
    ----------
    losses, labels : Tensor of shape [B, K]
    """
    known = labels != -1
    count = known.sum(dim=1)
    sums = losses.where(known, 0.0).sum(dim=1) * losses.shape[1] / count.clamp(min=1)
    return sums.sum() / (count > 0).sum().clamp(min=1)
