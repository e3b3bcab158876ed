"""``by_domain``: feature skew; the clients of a domain have all its classes."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from fedmvp.partition.schemes.base import Draws, Pool, Scheme, Share
from fedmvp.partition.schemes.dealing import even_parts, tested_alike

__all__ = ["ByDomain"]


class ByDomain(Scheme):
    """Each domain belongs to one client, or is dealt evenly to several."""

    per_domain: ClassVar[bool] = True
    clients: int = Field(default=1, ge=1, description="Clients of each domain.")

    def deal(self, pool: Pool, draw: Draws) -> list[Share]:
        """Return the shares of one domain's clients."""
        self.require_images(pool, self.clients, f"{self.clients} clients")
        return tested_alike(pool, even_parts(len(pool.train), self.clients, draw), draw)
