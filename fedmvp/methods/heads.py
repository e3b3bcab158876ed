"""What stands between a method's class scores and its loss: one class an image, or many.

A method says how similar each view of an image is to each class, as s · cos; the head says what
views there are, makes one score per class of them, and compares it with the labels. So a method is
the same for both tasks (docs/multilabel.md).

Shapes: B images, V views of an image, R image tokens, K classes, e joint embedding.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedmvp.methods.classes import ClassSet

__all__ = ["Head", "SoftmaxHead"]


class Head(nn.Module):
    """Base of heads.

    Attributes
    ----------
    grid : int
        Images are loaded at `grid` times the side that the backbone sees.
    many_labels : bool
        Whether labels are a matrix [B, K] of 1 (shown), 0 (absent) and -1 (unknown) instead of
        positions [B].
    """

    grid: int = 1
    many_labels: bool = False

    @property
    def count(self) -> int:
        """V, views of an image."""
        return 1

    @property
    def identity(self) -> dict[str, str]:
        """What of the head decides an image's frozen features: part of their cache's key."""
        return {}

    def rows(self, images: Tensor) -> Tensor:
        """Return the rows of the views of some images in a table of all views, [B] → [B·V]."""
        if self.count == 1:
            return images
        own = torch.arange(self.count, device=images.device)
        return (images[:, None] * self.count + own).flatten()

    def views(self, images: Tensor) -> Tensor:
        """Return what the backbone sees of normalised images, image by image, [B·V, 3, S, S]."""
        return images

    def texts(self, features: Tensor, classes: ClassSet) -> Tensor:
        """Return the text side of the scores, [K, e], given a method's text features."""
        return features

    def flips(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw which of `count` views are compared with their mirror images, bool [count]."""
        return torch.rand(count, generator=generator) < 0.5

    def stitched(self, attention: Tensor, grid: tuple[int, int]) -> Tensor:
        """Return one image's attention, [V, b, n] → [g²b, n], patches in the image's raster order.

        Parameters
        ----------
        grid : (int, int)
            Rows and columns of patches of a view.
        """
        return attention[0]

    @abstractmethod
    def shown(self, label: Any, names: Sequence[str]) -> str:
        """Return what an image shows in words, given its row of the labels."""

    @abstractmethod
    def said(self, logits: Tensor, names: Sequence[str]) -> str:
        """Return what an image is said to show in words, given its logits [K]."""

    @abstractmethod
    def pool(self, scores: Tensor) -> Tensor:
        """Return a logit for each image and class, [B·V, K] → [B, K]."""

    @abstractmethod
    def loss(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Return the classification loss of a batch, a scalar."""

    @abstractmethod
    def quality(self, scores: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return how well a training batch is recognised, by the column of rounds.csv."""


class SoftmaxHead(Head):
    """One class an image: cross-entropy and accuracy."""

    def shown(self, label: Any, names: Sequence[str]) -> str:
        """Return the name of its class."""
        return names[int(label)]

    def said(self, logits: Tensor, names: Sequence[str]) -> str:
        """Return the name of the best class."""
        return names[int(logits.argmax())]

    def pool(self, scores: Tensor) -> Tensor:
        """Return the scores, which are logits already."""
        return scores

    def loss(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Return the cross-entropy."""
        return F.cross_entropy(scores, labels)

    def quality(self, scores: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return the share of images whose best class is theirs."""
        return {"accuracy": (scores.argmax(dim=1) == labels).double().mean()}
