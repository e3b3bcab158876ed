"""``domain_dirichlet``: feature and label skew, each domain dealt by the capped Dirichlet rule.

Every domain and every class has its own draw. (Public code seeds its generator again for each
class, so all classes get the same proportions and clients differ only in quantity.)
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from fedmvp.partition.schemes.base import Draws, Pool, Share
from fedmvp.partition.schemes.dirichlet_capped import DirichletCapped
from fedmvp.sections import Float

__all__ = ["DomainDirichlet"]


class DomainDirichlet(DirichletCapped):
    """Client ``domain · clients + j`` has the j-th part of its domain."""

    per_domain: ClassVar[bool] = True
    alpha: Float = Field(default=0.3, gt=0, description="Concentration in each domain.")
    clients: int = Field(default=5, ge=1, description="Clients of each domain.")
    min_images: int = Field(
        default=2, ge=1, description="Fewest training images, and fewest test images, of a client."
    )

    def deal(self, pool: Pool, draw: Draws) -> list[Share]:
        """Return the shares of one domain's clients."""
        return self.first_draw(pool, self.clients, draw)
