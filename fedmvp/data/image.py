"""An image of a dataset, as a manifest lists it."""

from __future__ import annotations

from dataclasses import dataclass

from fedmvp.data.label_sets import only_label
from fedmvp.data.splits import Split

__all__ = ["Image"]


@dataclass(frozen=True, slots=True)
class Image:
    """An image of a dataset.

    Parameters
    ----------
    id : str
        ``<dataset>/<path>``: unique over all datasets and the same on every machine.
    path : str
        Relative to the folder where its layout begins, with forward slashes.
    labels : tuple of int
        Indices into the dataset's classes, ascending: exactly one in a single-label dataset.
    domain : str
        One of the dataset's domains.
    split : {"train", "val", "test"}
        Settings that split by domain ignore it.
    ignored : tuple of int
        Classes that count neither as shown nor as absent.
    """

    id: str
    path: str
    labels: tuple[int, ...]
    domain: str
    split: Split
    ignored: tuple[int, ...] = ()

    @property
    def label(self) -> int:
        """The only label of an image of a single-label dataset."""
        return only_label(self.labels, self.id)
