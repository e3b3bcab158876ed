"""The head for images that show any number of classes (docs/multilabel.md#head).

Shapes: B images, V views of an image, R output tokens, K classes, e joint embedding.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedmvp.methods.classes import ClassSet
from fedmvp.methods.fixed_texts import template_features
from fedmvp.methods.heads import Head
from fedmvp.methods.multilabel_losses import (
    asymmetric_loss,
    binary_cross_entropy,
    per_image_mean,
)
from fedmvp.multilabel_config import MultiLabelParams

__all__ = ["MultiLabelHead"]


class MultiLabelHead(Head):
    """Logit a · (max of cos over views) + b with two learned numbers, log a and b.

    Raw CLIP logits are about 25 for every class: their sigmoid is 1, and the asymmetric loss has
    no gradient. All classes share a and b, so these change no average precision, and also apply to
    classes that nobody trained on.

    Parameters
    ----------
    params : MultiLabelParams
    scale : float
        s, the factor in the method's scores.
    tokens : int
        R, output tokens of the image tower, the first of them CLS: the views of head `region`.
    """

    many_labels = True

    def __init__(self, params: MultiLabelParams, scale: float, tokens: int = 0) -> None:
        super().__init__()
        self.params = params
        self.scale = scale
        self.grid = params.grid
        self.tokens = tokens if params.head == "region" else 0
        self.log_scale = nn.Parameter(torch.tensor([math.log(params.scale)]))
        self.bias = nn.Parameter(torch.zeros(1))

    @property
    def count(self) -> int:
        """V, views of an image."""
        return self.tokens or self.grid**2 + (self.params.whole and self.grid > 1)

    @property
    def identity(self) -> dict[str, str]:
        """The views, if there are several."""
        whole = " and whole" if self.params.whole else ""
        if self.tokens:
            return {"views": "tokens"}
        return {} if self.grid == 1 else {"views": f"{self.grid}x{self.grid}{whole}"}

    def views(self, images: Tensor) -> Tensor:
        """Cut images into tiles, row by row, [B, 3, gS, gS] → [B·V, 3, S, S].

        With `whole`, the last view of each image is the whole image at the size of a tile.
        """
        if self.grid == 1:
            return images
        side = images.shape[-1] // self.grid
        tiles = images.unfold(2, side, side).unfold(3, side, side)  # [B, 3, g, g, S, S]
        views = tiles.permute(0, 2, 3, 1, 4, 5).flatten(1, 2)
        if self.params.whole:
            whole = F.avg_pool2d(images, self.grid)
            views = torch.cat([views, whole[:, None]], dim=1)
        return views.flatten(0, 1)

    def stitched(self, attention: Tensor, grid: tuple[int, int]) -> Tensor:
        """Join the tiles' patches; the view of the whole image is left out."""
        g, (rows, columns) = self.grid, grid
        tiles = attention[: g * g].reshape(g, g, rows, columns, -1)
        return tiles.permute(0, 2, 1, 3, 4).flatten(0, 3)

    def shown(self, label: Any, names: Sequence[str]) -> str:
        """Return the names of the classes the image shows."""
        return _listed(
            name for name, value in zip(names, label.tolist(), strict=True) if value == 1
        )

    def said(self, logits: Tensor, names: Sequence[str]) -> str:
        """Return the names of the classes with a probability above 0.5."""
        return _listed(name for name, x in zip(names, logits.tolist(), strict=True) if x > 0)

    def texts(self, features: Tensor, classes: ClassSet) -> Tensor:
        """Return text features of length one; head `pair` subtracts those of the class's absence.

        The less a class's sentences agree, the shorter their mean. This does not affect a class's
        average precision, but it does affect a threshold that all classes share.
        """
        texts = F.normalize(features, dim=-1)
        if self.params.head != "pair":
            return texts
        return texts - template_features(classes, self.params.negative_template)

    def flips(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw which views are mirrored; tokens are not, as mirroring exchanges their places."""
        drawn = super().flips(count, generator)
        return torch.zeros_like(drawn) if self.tokens else drawn

    def similarities(self, scores: Tensor) -> Tensor:
        """Return the pooled cosines, [B·V, K] → [B, K]."""
        of_image = scores.float().reshape(-1, self.count, scores.shape[-1]) / self.scale
        if not self.tokens:
            return of_image.amax(dim=1)
        regions = of_image[:, 1:]
        weights = torch.softmax(self.params.region_scale * regions, dim=1)
        pooled = (weights * regions).sum(dim=1)
        return (pooled + of_image[:, 0]) / 2 if self.params.whole else pooled

    def pool(self, scores: Tensor) -> Tensor:
        """Return a · (max over views of cos) + b, [B·V, K] → [B, K]."""
        return self.log_scale.exp() * self.similarities(scores) + self.bias

    def loss(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Return the loss summed over classes, mean over images, times its weight."""
        params, logits = self.params, self.pool(scores)
        losses = (
            binary_cross_entropy(logits, labels)
            if params.loss == "bce"
            else asymmetric_loss(
                logits,
                labels,
                gamma_negative=params.gamma_negative,
                gamma_positive=params.gamma_positive,
                clip=params.clip,
            )
        )
        return params.loss_weight * per_image_mean(losses, labels)

    def quality(self, scores: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return the batch's OF1 at probability 0.5, over pairs whose label is known."""
        said, shown = self.pool(scores) > 0, labels == 1
        known = labels != -1
        hits = (said & shown).sum().double()
        total = (said & known).sum() + shown.sum()
        return {"of1": 2 * hits / total.clamp(min=1)}

    @torch.no_grad()
    def start(self, similarity: float, prior: float) -> None:
        """Set b so that the mean logit equals that of the label prior: b = logit(π) - a · c̄.

        Parameters
        ----------
        similarity : float
            c̄, mean pooled cosine over training images and classes.
        prior : float
            π, share of the known (image, class) pairs that are positive, in (0, 1).
        """
        self.bias.fill_(math.log(prior / (1 - prior)) - self.params.scale * similarity)


def _listed(names: Iterable[str]) -> str:
    return "; ".join(names) or "nothing"
