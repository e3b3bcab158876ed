"""``few_shot_disjoint``: shuffled disjoint classes, the few-shot protocol of prompt learning.

PromptFL and its successors (FedOTP, FedPGP, pFedMoAP, FedPHA, PromptFolio) shuffle the class list
with Python's generator and a fixed seed, cut it evenly and give the last client the rest; a client
is tested on all test images of its classes.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from fedmvp.partition.schemes.base import Draws, Pool, Scheme, Share

__all__ = ["FewShotDisjoint", "shuffled_blocks"]


def shuffled_blocks(classes: int, clients: int, seed: int) -> list[list[int]]:
    """Return the classes of each client: ``round(C / U)`` (halves to even), the rest to the last.

    A client may be left without classes (15 classes, 10 clients).

    Examples
    --------
    >>> shuffled_blocks(37, 10, 2023)[0]
    [18, 14, 23, 10]
    """
    from random import Random  # the protocol's class lists come from this generator

    order = list(range(classes))
    Random(seed).shuffle(order)  # noqa: S311  a published list of classes, not a secret
    size = round(classes / clients)
    blocks = [order[i * size : (i + 1) * size] for i in range(clients - 1)]
    return [*blocks, order[(clients - 1) * size :]]


class FewShotDisjoint(Scheme):
    """Disjoint classes in an order that the run's seed does not change."""

    shares_classes: ClassVar[bool] = False
    clients: int = Field(default=10, ge=1, description="Clients of each dataset.")
    class_seed: int = Field(default=2023, ge=0, description="Seed of the class list's order.")

    def deal(self, pool: Pool, draw: Draws) -> list[Share]:
        """Return a share for each block; nothing is drawn from `draw`."""
        blocks = shuffled_blocks(pool.classes, self.clients, self.class_seed)
        if not all(blocks):
            raise self.refusal(
                f"{pool.classes} classes cannot be dealt to {self.clients} clients without sharing "
                "one: a client would have none",
                pool,
                self.describe(),
                "choose fewer clients, or a scheme that shares classes",
            )
        return [Share(np.flatnonzero(np.isin(pool.train, block)), None) for block in blocks]
