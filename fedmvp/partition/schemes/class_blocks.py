"""``class_blocks``: contiguous blocks of classes (docs/method.md#class-blocks)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from fedmvp.partition.sampling import class_blocks
from fedmvp.partition.schemes.base import Draws, Pool, Scheme, Share

__all__ = ["ClassBlocks"]


class ClassBlocks(Scheme):
    """Each client has `classes_per_client` classes that no other has; the last takes the rest."""

    shares_classes: ClassVar[bool] = False
    classes_per_client: int = Field(ge=1, description="n; by default partition.classes_per_client.")

    def deal(self, pool: Pool, draw: Draws) -> list[Share]:
        """Return a share for each block; nothing is drawn."""
        blocks = class_blocks(range(pool.classes), self.classes_per_client)
        return [Share(np.flatnonzero(np.isin(pool.train, block)), None) for block in blocks]
