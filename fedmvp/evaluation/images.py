"""The test images of a partition: each is decoded once, and encoded once if the tower is unchanged.

Targets overlap (an image of a client's local test is also in the base classes' test), and so do
settings. Images are therefore kept as one table per dataset, in an order that depends only on which
images it has, and a target is a list of the table's rows.

Shapes: B images of a batch, N images of a target, e joint embedding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fedmvp.clip.backbone import Backbone
from fedmvp.data.image_source import Labels, LoadImages
from fedmvp.errors import DataError
from fedmvp.interruption import raise_if_stopped
from fedmvp.methods.heads import Head, SoftmaxHead
from fedmvp.partition.model import Target

__all__ = ["EvaluationImages", "TargetImages"]


@dataclass(frozen=True)
class _Table:
    """All images of one dataset, and their labels among all classes they are tested on.

    Labels are positions in `classes`, [N], or a matrix over them, [N, K].
    """

    ids: tuple[str, ...]
    row: dict[str, int]
    pixels: NDArray[np.uint8]
    classes: tuple[str, ...]
    labels: Labels


@dataclass(frozen=True)
class TargetImages:
    """The images of one target.

    Parameters
    ----------
    pixels : ndarray of uint8, shape [rows of the table, S, S, 3]
        Of all the dataset's images; memory-mapped.
    rows : ndarray of int, shape [N]
        Rows of this target.
    labels : ndarray of int, shape [N] or [N, K]
        Positions in the target's classes; with many labels, 1 (shown), 0 (absent) or -1 (ignored).
    """

    dataset: str
    pixels: NDArray[np.uint8]
    rows: NDArray[np.int64]
    labels: Labels

    def batches(self, size: int) -> Iterator[NDArray[np.int64]]:
        """Yield the rows of up to `size` images at a time."""
        for start in range(0, len(self.rows), size):
            raise_if_stopped()
            yield self.rows[start : start + size]


class EvaluationImages:
    """Test images by target.

    Parameters
    ----------
    targets : iterable of Target
    load_images : LoadImages
    backbone : Backbone
    batch_size : int
        Images per forward pass of the frozen tower.
    head : Head, optional
        Divides an image into the views the backbone sees; by default the whole image.
    """

    def __init__(
        self,
        targets: Iterable[Target],
        load_images: LoadImages,
        backbone: Backbone,
        batch_size: int,
        head: Head | None = None,
    ) -> None:
        self.head = head or SoftmaxHead()
        self.targets = tuple(targets)
        self.load_images = load_images
        self.backbone = backbone
        self.batch_size = batch_size
        self._tables: dict[str, _Table] = {}
        self._features: dict[str, Tensor] = {}

    def __call__(self, target: Target) -> TargetImages:
        """Return a target's images.

        Raises
        ------
        DataError
            For an image whose class is not one of the target's.
        """
        table = self._table(target.dataset)
        rows = np.array([table.row[name] for name in target.images], dtype=np.int64)
        labels = _among(target, table, rows)
        return TargetImages(target.dataset, table.pixels, rows, labels)

    def features(self, dataset: str) -> Tensor:
        """Return L2-normalised features of all views of a dataset's table, without prompts, on CPU.

        They depend only on the images: every method, seed and setting with these images shares
        them through the disk cache.
        """
        if dataset not in self._features:
            table = self._table(dataset)
            images = self.load_images.key(dataset, table.ids)
            key = {"images": images, "batch": self.batch_size, **self.head.identity}
            batches = (
                self.head.views(
                    self.backbone.normalise(table.pixels[start : start + self.batch_size])
                )
                for start in range(0, len(table.ids), self.batch_size)
            )
            self._features[dataset] = self.backbone.cached(
                key, lambda: self.backbone.frozen_features(batches).cpu()
            )
        return self._features[dataset]

    def _table(self, dataset: str) -> _Table:
        if dataset not in self._tables:
            own = [target for target in self.targets if target.dataset == dataset]
            ids = tuple(sorted({name for target in own for name in target.images}))
            classes = tuple(sorted({name for target in own for name in target.classes}))
            pixels, labels = self.load_images(dataset, ids, classes)
            row = {name: number for number, name in enumerate(ids)}
            self._tables[dataset] = _Table(ids, row, pixels, classes, labels)
        return self._tables[dataset]


def _among(target: Target, table: _Table, rows: NDArray[np.int64]) -> Labels:
    """Return the labels of some rows among a target's classes.

    Raises
    ------
    DataError
        For an image of one class that is not one of the target's.
    """
    if table.labels.ndim == 2:
        column = {name: number for number, name in enumerate(table.classes)}
        return table.labels[rows][:, [column[name] for name in target.classes]]
    position = {name: i for i, name in enumerate(target.classes)}
    place = np.array([position.get(name, -1) for name in table.classes], dtype=np.int64)
    labels: NDArray[np.int64] = place[table.labels[rows]]
    if (labels < 0).any():
        stray = table.classes[table.labels[rows[int(np.argmin(labels))]]]
        raise DataError(
            "an image's class is not one of the target's classes",
            where=target.dataset,
            value=stray,
            hint="run `dvc repro`: the partition is older than the manifest",
        )
    return labels
