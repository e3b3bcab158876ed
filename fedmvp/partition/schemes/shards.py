"""``shards``: images sorted by label, cut into equal shards, some shards for each client.

The rule of the first paper on federated averaging; flwr-datasets' shard partitioner.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from fedmvp.partition.schemes.base import Draws, Pool, Scheme, Share
from fedmvp.partition.schemes.dealing import tested_alike

__all__ = ["Shards"]


class Shards(Scheme):
    """Few classes per client: a shard holds one class, or adjoining parts of two or more."""

    clients: int = Field(ge=1, description="Clients of each dataset.")
    shards_per_client: int = Field(default=2, ge=1, description="Shards each client gets.")

    def deal(self, pool: Pool, draw: Draws) -> list[Share]:
        """Return the shards of each client; sizes of shards differ by at most one."""
        count = self.clients * self.shards_per_client
        self.require_images(pool, count, f"{count} shards")
        # Images of a class are shuffled, as they come sorted by domain.
        shuffled = draw.permutation(len(pool.train))
        order = shuffled[np.argsort(pool.train[shuffled], kind="stable")]
        cuts = np.array_split(order, count)
        hands = draw.permutation(count).reshape(self.clients, self.shards_per_client)
        return tested_alike(pool, [np.concatenate([cuts[i] for i in hand]) for hand in hands], draw)
