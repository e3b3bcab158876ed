"""``one_client``: all images at one place, the upper reference for any federation of the data."""

from __future__ import annotations

import numpy as np

from fedmvp.partition.schemes.base import Draws, Pool, Scheme, Share

__all__ = ["OneClient"]


class OneClient(Scheme):
    """The only client has every training and every test image."""

    def deal(self, pool: Pool, draw: Draws) -> list[Share]:
        """Return one share; nothing is drawn."""
        self.require_images(pool, 1, "one client")
        return [Share(np.arange(len(pool.train)), np.arange(len(pool.test)))]

    def describe(self) -> str:
        """Return a description, as the scheme has no parameters."""
        return "all images"
