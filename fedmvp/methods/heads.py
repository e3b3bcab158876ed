"""Heads, between a method's class scores and its loss: one class per image, or many.

A method gives the similarity of each view of an image to each class, as s · cos. The head divides
images into views, pools their scores into one per class, and compares it with the labels. So a
method is the same for both tasks (docs/multilabel.md).

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
        Images are loaded at `grid` times the backbone's input size.
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
        """Properties of the head that affect frozen features: part of the key of their cache."""
        return {}

    def rows(self, images: Tensor) -> Tensor:
        """Return the rows of some images' views in a table of all views, [B] → [B·V]."""
        if self.count == 1:
            return images
        own = torch.arange(self.count, device=images.device)
        return (images[:, None] * self.count + own).flatten()

    def views(self, images: Tensor) -> Tensor:
        """Return the views of normalised images, image by image, [B·V, 3, S, S]."""
        return images

    def texts(self, features: Tensor, classes: ClassSet) -> Tensor:
        """Return the text features used for scores, [K, e], given the method's."""
        return features

    def flips(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw which of `count` views are mirrored for the consistency loss, bool [count]."""
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
        """Return in words what an image shows, given its row of the labels."""

    @abstractmethod
    def said(self, logits: Tensor, names: Sequence[str]) -> str:
        """Return in words what an image is predicted to show, given its logits [K]."""

    @abstractmethod
    def pool(self, scores: Tensor) -> Tensor:
        """Return a logit for each image and class, [B·V, K] → [B, K]."""

    @abstractmethod
    def loss(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Return the classification loss of a batch, a scalar."""

    @abstractmethod
    def quality(self, scores: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return how well a training batch is classified, by column of rounds.csv."""


class SoftmaxHead(Head):
    """One class per image: cross-entropy and accuracy."""

    def shown(self, label: Any, names: Sequence[str]) -> str:
        """Return the name of the image's class."""
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
        """Return the accuracy: the share of images whose best class is correct."""
        return {"accuracy": (scores.argmax(dim=1) == labels).double().mean()}
