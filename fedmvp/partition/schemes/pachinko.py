"""``pachinko``: label skew over a hierarchy of classes, as CIFAR-100 has (Pachinko allocation).

Each client draws weights for the superclasses and for the classes within each, and then its images
one by one without replacement from training and test images together. So all clients have the same
total, of which a random part are test images.

Shapes: C classes, G superclasses.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fedmvp.partition.schemes.base import Draws, Pool, Scheme, Share, shares
from fedmvp.sections import Float

__all__ = ["Pachinko"]

_Weights = NDArray[np.float64]


class Pachinko(Scheme):
    """Superclass weights ~ Dir(alpha), weights of its classes ~ Dir(fine_alpha)."""

    alpha: Float = Field(gt=0, description="Concentration over superclasses.")
    clients: int = Field(ge=1, description="Clients of each dataset.")
    fine_alpha: Float = Field(
        default=10.0, gt=0, description="Concentration over the classes of a superclass."
    )

    def deal(self, pool: Pool, draw: Draws) -> list[Share]:
        """Return shares of equal total; where it does not divide, the first have one more."""
        if not pool.groups:
            raise self.refusal(
                "the scheme needs a dataset with superclasses",
                pool,
                "pachinko",
                "choose cifar100, or give the catalog entry `groups`",
            )
        self.require_images(pool, self.clients, f"{self.clients} clients")
        # Images still to be dealt, by class: training images first, test images from N on.
        labels = np.concatenate([pool.train, pool.test])
        left = [draw.permutation(np.flatnonzero(labels == k)).tolist() for k in range(pool.classes)]
        members = [np.flatnonzero(np.array(pool.groups) == g) for g in sorted(set(pool.groups))]
        totals = [len(part) for part in np.array_split(labels, self.clients)]
        dealt = [self._draw_client(total, left, members, draw) for total in totals]
        border = len(pool.train)
        found = shares(
            [[i for i in part if i < border] for part in dealt],
            [[i - border for i in part if i >= border] for part in dealt],
        )
        if not all(len(share.train) for share in found):
            raise self.refusal(
                "a client would have no training image",
                pool,
                self.describe(),
                "choose fewer clients",
            )
        return found

    def _draw_client(
        self, total: int, left: list[list[int]], members: list[NDArray[np.int64]], draw: Draws
    ) -> list[int]:
        """Take `total` images out of `left`."""
        coarse = draw.dirichlet(np.full(len(members), self.alpha))
        fine = [draw.dirichlet(np.full(len(group), self.fine_alpha)) for group in members]
        chosen = []
        for _ in range(total):
            open_groups = np.array([any(left[k] for k in group) for group in members])
            g = _pick(coarse, open_groups, draw)
            k = _pick(fine[g], np.array([bool(left[k]) for k in members[g]]), draw)
            chosen.append(left[members[g][k]].pop())
        return chosen


def _pick(weights: _Weights, possible: NDArray[np.bool_], draw: Draws) -> int:
    """Draw an entry among those possible; evenly where the weights of all of them are zero."""
    places = np.flatnonzero(possible)
    kept = weights[places]
    edges = np.cumsum(kept if kept.sum() > 0 else np.ones(len(places)))
    return int(places[np.searchsorted(edges[:-1], draw.uniform() * edges[-1], side="right")])
