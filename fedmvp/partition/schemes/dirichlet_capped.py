"""``dirichlet_capped``: the Dirichlet rule of FedOTP, FedPGP, PMFLT and others.

"Capped", because a client that has its even share of the images gets nothing of later classes; this
makes the skew milder than Dir(alpha) and favours early classes. Training and test images of a class
are cut in the same proportions.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from fedmvp.partition.schemes.base import Draws, Pool, Scheme, Share, shares
from fedmvp.partition.schemes.dealing import cut
from fedmvp.sections import Float

__all__ = ["DirichletCapped", "capped_shares"]


def capped_shares(pool: Pool, clients: int, alpha: float, draw: Draws) -> list[Share]:
    """Make one draw: for each class, shuffle both lists, draw p, cut both at ⌊cumsum(p) · n⌋."""
    limit = len(pool.train) / clients
    trains: list[list[int]] = [[] for _ in range(clients)]
    tests: list[list[int]] = [[] for _ in range(clients)]
    for label in range(pool.classes):
        train, test = pool.of_class(label)
        draw.shuffle(train)
        draw.shuffle(test)
        p = draw.dirichlet(np.full(clients, alpha))
        below = np.array([len(part) < limit for part in trains])
        p = p * below
        # With a tiny alpha, all the weight may be on clients that have reached the cap.
        p = p / p.sum() if p.sum() > 0 else below / max(below.sum(), 1)
        for parts, positions in ((trains, train), (tests, test)):
            for part, dealt in zip(parts, cut(positions, p), strict=True):
                part.extend(dealt.tolist())
    return shares(trains, tests)


class DirichletCapped(Scheme):
    """Dir(alpha) over clients for every class, capped at the even share N / U."""

    alpha: Float = Field(gt=0, description="Concentration; the smaller, the more skewed.")
    clients: int = Field(ge=1, description="Clients of each dataset.")
    min_images: int = Field(
        default=10, ge=1, description="Fewest training images, and fewest test images, of a client."
    )
    tries: int = Field(default=100, ge=1, description="Most draws to give every client that many.")

    def deal(self, pool: Pool, draw: Draws) -> list[Share]:
        """Return the first draw in which every client has enough images of both kinds."""
        return self.first_draw(pool, self.clients, draw)

    def first_draw(self, pool: Pool, clients: int, draw: Draws) -> list[Share]:
        """Return the first draw in which each of `clients` has enough images of both kinds."""
        self.require_images(
            pool, clients * self.min_images, f"{clients} clients of at least {self.min_images}"
        )
        tested = len(pool.test) > 0  # a setting split by domain has no test images of its sources
        for _ in range(self.tries):
            dealt = capped_shares(pool, clients, self.alpha, draw)
            smallest = min(len(share.train) for share in dealt)
            if tested:
                smallest = min(smallest, *(len(s.test) for s in dealt if s.test is not None))
            if smallest >= self.min_images:
                return dealt
        raise self.refusal(
            f"no draw of {self.tries} gives each of {clients} clients {self.min_images} training "
            f"and test images at alpha {self.alpha:g}",
            pool,
            self.describe(),
            "raise alpha or tries, or choose fewer clients or min_images",
        )
