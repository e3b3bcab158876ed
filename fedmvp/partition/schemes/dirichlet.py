"""``dirichlet``: label skew, each class dealt in proportions ~ Dir(alpha), as flwr-datasets does.

Unlike in flwr-datasets, a class's images are shuffled before they are cut: ours are in order of
their domains.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from fedmvp.partition.schemes.base import Draws, Pool, Scheme, Share
from fedmvp.partition.schemes.dealing import cut, tested_alike
from fedmvp.sections import Float

__all__ = ["Dirichlet"]


class Dirichlet(Scheme):
    """p ~ Dir(alpha · 1) over clients for every class; small alpha: few classes per client."""

    alpha: Float = Field(gt=0, description="Concentration; the smaller, the more skewed.")
    clients: int = Field(ge=1, description="Clients of each dataset.")
    self_balancing: bool = Field(
        default=False,
        description="Whether a client with more than N / U images gets nothing of later classes.",
    )
    min_images: int = Field(default=10, ge=1, description="Fewest training images of a client.")
    tries: int = Field(default=10, ge=1, description="Most draws to give every client that many.")

    def deal(self, pool: Pool, draw: Draws) -> list[Share]:
        """Return the first draw in which every client has enough images."""
        self.require_images(
            pool,
            self.clients * self.min_images,
            f"{self.clients} clients of at least {self.min_images}",
        )
        for _ in range(self.tries):
            proportions = self._proportions(pool, draw)
            sizes = sum(
                np.array([len(part) for part in parts]) for parts in self._cut(pool, proportions)
            )
            if np.min(sizes) >= self.min_images:
                return self._dealt(pool, proportions, draw)
        raise self.refusal(
            f"no draw of {self.tries} gives each of {self.clients} clients {self.min_images} "
            f"training images at alpha {self.alpha:g}",
            pool,
            self.describe(),
            "raise alpha or tries, or choose fewer clients or min_images",
        )

    def _proportions(self, pool: Pool, draw: Draws) -> list[np.ndarray]:
        """Return a proportion per client for each class, [C] of [U]."""
        limit = len(pool.train) / self.clients
        sizes, drawn = np.zeros(self.clients), []
        for label in pool.present:
            p = draw.dirichlet(np.full(self.clients, self.alpha))
            if self.self_balancing:
                p = np.where(sizes > limit, 0.0, p)
                total = p.sum()
                p = p / total if total > 0 else (sizes <= limit) / (sizes <= limit).sum()
            sizes += [len(part) for part in cut(pool.of_class(label)[0], p)]
            drawn.append(p)
        return drawn

    def _cut(self, pool: Pool, proportions: list[np.ndarray]) -> list[list[np.ndarray]]:
        labels = pool.present
        return [cut(pool.of_class(k)[0], p) for k, p in zip(labels, proportions, strict=True)]

    def _dealt(self, pool: Pool, proportions: list[np.ndarray], draw: Draws) -> list[Share]:
        trains: list[list[int]] = [[] for _ in range(self.clients)]
        for label, p in zip(pool.present, proportions, strict=True):
            shuffled = draw.permutation(pool.of_class(label)[0])
            for train, part in zip(trains, cut(shuffled, p), strict=True):
                train.extend(part.tolist())
        return tested_alike(pool, [np.array(train, np.int64) for train in trains], draw)
