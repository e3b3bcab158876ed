"""``iid``: equal random parts, the partition without skew."""

from __future__ import annotations

from pydantic import Field

from fedmvp.partition.schemes.base import Draws, Pool, Scheme, Share
from fedmvp.partition.schemes.dealing import even_parts, tested_alike

__all__ = ["Iid"]


class Iid(Scheme):
    """Images are shuffled and dealt in parts whose sizes differ by at most one."""

    clients: int = Field(ge=1, description="Clients of each dataset.")

    def deal(self, pool: Pool, draw: Draws) -> list[Share]:
        """Return equal shares."""
        self.require_images(pool, self.clients, f"{self.clients} clients")
        return tested_alike(pool, even_parts(len(pool.train), self.clients, draw), draw)
