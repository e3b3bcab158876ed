"""``pathological``: every client has images of exactly m classes; classes have equally many owners.

Owners are balanced as in FedOTP's ``noniid-labeluni``, whose shares within a class are `uneven`.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from fedmvp.partition.schemes.base import Draws, Pool, Positions, Scheme, Share
from fedmvp.partition.schemes.dealing import cut, tested_alike

__all__ = ["Pathological"]


class Pathological(Scheme):
    """m classes each; a class has ⌊mU / C⌋ or one more owners."""

    clients: int = Field(ge=1, description="Clients of each dataset.")
    classes_each: int = Field(default=2, ge=1, description="m, classes of each client.")
    shares: Literal["even", "uneven"] = Field(
        default="even",
        description="How a class is divided among its owners: equally, or in proportions drawn "
        "between 0.4 and 0.6.",
    )

    def deal(self, pool: Pool, draw: Draws) -> list[Share]:
        """Return shares of exactly `classes_each` classes."""
        labels = pool.present
        if not self.classes_each <= len(labels) <= self.classes_each * self.clients:
            raise self.refusal(
                f"{self.clients} clients of {self.classes_each} classes each cannot share "
                f"{len(labels)} classes: a client's must differ, and each needs a client",
                pool,
                self.describe(),
                "change clients or classes_each",
            )
        owners = self._owners(labels, draw)
        trains: list[list[int]] = [[] for _ in range(self.clients)]
        for label, chosen in owners.items():
            found = pool.of_class(label)[0]
            if len(found) < 2 * len(chosen):  # with fewer, the smallest uneven share could be empty
                raise self.refusal(
                    f"class {label} has {len(found)} training images for {len(chosen)} owners",
                    pool,
                    self.describe(),
                    "choose fewer clients, or raise partition.shots",
                )
            shuffled = draw.permutation(found)
            weights = draw.uniform(0.4, 0.6, len(chosen))
            parts = (
                np.array_split(shuffled, len(chosen))
                if self.shares == "even"
                else cut(shuffled, weights / weights.sum())
            )
            for client, part in zip(chosen, parts, strict=True):
                trains[client].extend(part.tolist())
        return tested_alike(pool, [np.array(train, np.int64) for train in trains], draw)

    def _owners(self, labels: Positions, draw: Draws) -> dict[int, list[int]]:
        """Return the owners of each class: each client takes the classes with most places left."""
        places = np.full(len(labels), self.clients * self.classes_each // len(labels))
        more = self.clients * self.classes_each % len(labels)
        places[draw.permutation(len(labels))[:more]] += 1
        owners: dict[int, list[int]] = {int(label): [] for label in labels}
        for client in range(self.clients):
            ties = draw.uniform(size=len(labels))
            for place in np.lexsort((ties, -places))[: self.classes_each]:
                owners[int(labels[place])].append(client)
                places[place] -= 1
        return owners
