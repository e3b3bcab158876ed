"""``quantity``: clients differ in how many images they have, not in which.

The sizes of flwr-datasets' linear, square and exponential partitioners; images are shuffled first,
so that labels are independent of the client.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from fedmvp.partition.schemes.base import Draws, Pool, Positions, Scheme, Share
from fedmvp.partition.schemes.dealing import tested_alike

__all__ = ["Quantity", "sizes"]


def sizes(images: int, clients: int, growth: str) -> Positions:
    """Return ⌊N f(i) / Σ f⌋ images for client i = 1 … U; the last gets the remainder as well.

    Examples
    --------
    >>> sizes(100, 4, "square").tolist()
    [3, 13, 30, 54]
    """
    number = np.arange(1, clients + 1, dtype=np.float64)
    # e^(i - U) instead of e^i, which overflows from i = 710 on.
    weights = {"linear": number, "square": number**2, "exponential": np.exp(number - clients)}
    chosen = weights[growth]
    found: Positions = np.floor(images * chosen / chosen.sum()).astype(np.int64)
    found[-1] += images - found.sum()
    return found


class Quantity(Scheme):
    """The i-th client's number of images is proportional to i, i² or eⁱ."""

    clients: int = Field(ge=1, description="Clients of each dataset.")
    growth: Literal["linear", "square", "exponential"] = Field(
        default="linear", description="How the size grows with the client's number."
    )

    def deal(self, pool: Pool, draw: Draws) -> list[Share]:
        """Return shares of growing size."""
        wanted = sizes(len(pool.train), self.clients, self.growth)
        if wanted.min() < 1:
            raise self.refusal(
                f"the smallest of {self.clients} clients would have none of {len(pool.train)} "
                "training images",
                pool,
                self.describe(),
                "choose fewer clients, or a growth that is less steep",
            )
        order = draw.permutation(len(pool.train))
        return tested_alike(pool, np.split(order, np.cumsum(wanted)[:-1]), draw)
