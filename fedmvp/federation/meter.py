"""What a client measures while it trains: losses and accuracy, weighted by images."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from fedmvp.methods.base import Loss, RoundLosses

__all__ = ["Meter"]


class Meter:
    """Image-weighted means of what a client sees in one round."""

    def __init__(self) -> None:
        self.images = 0
        self.sums: dict[str, float] = {}
        self.first_epoch: list[float] = [0.0, 0.0]
        self.last = math.inf

    def add(self, loss: Loss, quality: Mapping[str, Tensor], count: int, epoch: int) -> float:
        """Count one batch of `count` images; return its total loss.

        Parameters
        ----------
        quality : mapping of str to Tensor
            Scalars that say how well the batch was classified (`Head.quality`).
        """
        values = {"loss": loss.total, **loss.parts, **quality}
        # Read all at once: each read makes the host wait until the GPU has finished.
        read = torch.stack([value.detach().double() for value in values.values()]).cpu().tolist()
        numbers: dict[str, float] = dict(zip(values, read, strict=True))
        for name, number in numbers.items():
            self.sums[name] = self.sums.get(name, 0.0) + count * number
        self.images += count
        self.last = numbers["loss"]
        if epoch == 0:
            self.first_epoch[0] += count * self.last
            self.first_epoch[1] += count
        return self.last

    def local(self) -> RoundLosses:
        """Return the losses that decide about the client's phase."""
        return RoundLosses(self.first_epoch[0] / max(self.first_epoch[1], 1), self.last)

    def means(self) -> dict[str, float]:
        """Return the means over all images of the round."""
        return {name: value / self.images for name, value in self.sums.items()}
