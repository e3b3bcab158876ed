"""``fedmpt_clusters``: clients as FedMPT's public code makes them, for comparison with its numbers.

Training images are clustered by the softmax of their 0/1 labels (k-means with scikit-learn's
defaults and random state 42). With m ones, the softmax is e / (m e + K - m) at each of them, so
clusters reflect mostly the number of labels and the most frequent classes; `label_clusters` avoids
this. Their code gives test images the clusters of the training images at the same positions; here
they go to the nearest centroid, so published local numbers cannot be compared with ours.

Shapes: N training images, K classes, U clients.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fedmvp.partition.schemes.base import Draws, Pool, Scheme, Share, shares
from fedmvp.partition.schemes.label_sets import require_distinct, require_labels

__all__ = ["FedmptClusters", "softmax_rows"]

_Rows = NDArray[np.float64]


def softmax_rows(labels: NDArray[Any]) -> _Rows:
    """Return the softmax of each image's 0/1 labels, [N, K]."""
    powers = np.exp(np.asarray(labels, dtype=np.float64))
    rows: _Rows = powers / powers.sum(axis=1, keepdims=True)
    return rows


class FedmptClusters(Scheme):
    """One k-means cluster of label vectors per client."""

    clients: int = Field(ge=1, description="Clusters of each dataset.")
    random_state: int = Field(default=42, ge=0, description="Seed of scikit-learn's k-means.")

    def deal(self, pool: Pool, draw: Draws) -> list[Share]:
        """Return the share of each cluster, in scikit-learn's order."""
        from sklearn.cluster import KMeans
        from threadpoolctl import threadpool_limits

        labels, test_labels = require_labels(self, pool, "fedmpt_clusters")
        rows = softmax_rows(labels)
        require_distinct(self, pool, rows, self.clients)
        with threadpool_limits(1):  # sums must not depend on the number of threads
            fitted = KMeans(self.clients, random_state=self.random_state).fit(rows)
            tested = fitted.predict(softmax_rows(test_labels)) if len(pool.test) else []
        parts = range(self.clients)
        return shares(
            [np.flatnonzero(fitted.labels_ == part) for part in parts],
            [np.flatnonzero(np.asarray(tested) == part) for part in parts],
        )
