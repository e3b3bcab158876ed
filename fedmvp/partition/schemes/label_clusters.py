"""``label_clusters``: clients whose images show similar sets of classes (many labels).

Training images are clustered by what they show (k-means). A class's column is weighted by its
inverse document frequency, and rows are scaled to length one: otherwise the clusters would reflect
the number of labels and the most frequent class ("person"). The idea is FedMPT's
(arXiv 2605.28347), whose rule clusters a softmax of the labels instead.

Here labels only decide which client owns an image, so the true ones are used even where
`partition.annotations` hides them from training.

Shapes: N training images, M test images, K classes, U clients.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fedmvp.partition.schemes.base import Draws, Pool, Positions, Scheme, Share, shares
from fedmvp.partition.schemes.label_sets import require_distinct, require_labels

__all__ = ["LabelClusters", "weighted_rows"]

_Rows = NDArray[np.float64]


def weighted_rows(labels: NDArray[np.bool_], weights: _Rows) -> _Rows:
    """Return y · w of each image at length one, [N, K]; zeros for an image that shows nothing."""
    rows = labels * weights
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    result: _Rows = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
    return result


class LabelClusters(Scheme):
    """One cluster of training images per client; test images go to the nearest centroid."""

    clients: int = Field(ge=1, description="Clusters of each dataset; small ones are merged.")
    min_images: int = Field(
        default=10, ge=1, description="Smaller clusters join the nearest of those that are not."
    )
    unlabelled: Literal["refuse", "spread"] = Field(
        default="refuse",
        description="Training images that show none of the classes: an error, or dealt evenly.",
    )

    def deal(self, pool: Pool, draw: Draws) -> list[Share]:
        """Return the share of each cluster, the largest first."""
        labels, tested = require_labels(self, pool, "label_clusters")
        self.require_images(pool, self.clients * self.min_images, f"{self.clients} clusters")
        empty = np.flatnonzero(~labels.any(axis=1))
        if len(empty) and self.unlabelled == "refuse":
            raise self.refusal(
                f"{len(empty)} training images show none of the classes, so no cluster fits",
                pool,
                f"the first at place {empty[0]}",
                "set `unlabelled: spread`, or choose scheme iid",
            )
        counts = labels.sum(axis=0)
        # A class that all images show, or none, does not distinguish images: its weight is 0.
        weights = np.log(len(labels) / np.maximum(counts, 1)) * (counts > 0)
        rows = weighted_rows(labels, weights)
        known = np.flatnonzero(labels.any(axis=1))
        own, centroids = self._clusters(rows, known, pool, draw)
        for part, more in zip(
            range(len(own)), np.array_split(draw.permutation(empty), len(own)), strict=True
        ):
            own[part] = np.concatenate([own[part], more])
        nearest = _nearest(weighted_rows(tested, weights), centroids)
        return shares(own, [np.flatnonzero(nearest == part) for part in range(len(own))])

    def _clusters(
        self, rows: _Rows, known: Positions, pool: Pool, draw: Draws
    ) -> tuple[list[Positions], _Rows]:
        """Return the images of each cluster, the largest first, and the centroids, [U, K]."""
        from sklearn.cluster import KMeans
        from threadpoolctl import threadpool_limits

        require_distinct(self, pool, rows[known], self.clients)
        seed = int(draw.permutation(2**16)[0])  # both kinds of generator have this method
        with threadpool_limits(1):  # sums must not depend on the number of threads
            fitted = KMeans(self.clients, n_init=10, random_state=seed).fit(rows[known])
        parts = [known[fitted.labels_ == number] for number in range(self.clients)]
        large = [part for part in parts if len(part) >= self.min_images]
        small = [part for part in parts if len(part) < self.min_images]
        large.sort(key=lambda part: (-len(part), int(part[0])))
        centroids = np.stack([rows[part].mean(axis=0) for part in large])
        if small:
            stray = np.concatenate(small)
            nearest = _nearest(rows[stray], centroids)
            large = [np.concatenate([part, stray[nearest == n]]) for n, part in enumerate(large)]
        return large, centroids


def _nearest(rows: _Rows, centroids: _Rows) -> NDArray[np.int64]:
    """Return the centroid with the least squared distance to each row; the first of equal ones."""
    distances = (centroids**2).sum(axis=1) - 2 * rows @ centroids.T
    nearest: NDArray[np.int64] = distances.argmin(axis=1).astype(np.int64)
    return nearest
