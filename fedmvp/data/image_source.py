"""Images with their labels among a list of classes, as training and evaluation need them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from fedmvp.data.images import load_images, raw_folder
from fedmvp.data.manifest import Manifest
from fedmvp.data.splits import Split
from fedmvp.files import sha256_json

__all__ = ["ImageSource", "Labels", "LoadImages"]

Labels = NDArray[np.int64] | NDArray[np.int8]
"""Positions in the classes, [N]; with many labels 1 (shown), 0 (absent), -1 (ignored), [N, K]."""


class LoadImages(Protocol):
    """Loads labelled images."""

    def __call__(
        self, dataset: str, ids: Sequence[str], classes: Sequence[str]
    ) -> tuple[NDArray[np.uint8], Labels]:
        """Return images [N, S, S, 3] and their labels among `classes`."""
        ...

    def key(self, dataset: str, ids: Sequence[str]) -> str:
        """Return a hash of what determines these images' pixels."""
        ...


class ImageSource:
    """Images of some datasets, all of one split.

    Parameters
    ----------
    manifests : mapping
        Manifest of each dataset.
    size_px : int
        S, side of the square the model sees.
    split : {"train", "val", "test", "all"}
        An image of another split is refused.
    folder_of : callable
        From a dataset to the folder its raw images' paths start from.
    """

    def __init__(
        self,
        manifests: Mapping[str, Manifest],
        size_px: int,
        split: Split | Literal["all"],
        folder_of: Callable[[str], Path] = raw_folder,
    ) -> None:
        self.manifests = manifests
        self.size_px = size_px
        self.split = split
        self._folder_of = cache(folder_of)

    def __call__(
        self, dataset: str, ids: Sequence[str], classes: Sequence[str]
    ) -> tuple[NDArray[np.uint8], Labels]:
        """Return images and labels; see `LoadImages`.

        Raises
        ------
        DataError
            When an image is unknown, in another split, of another class, or cannot be decoded.
        """
        manifest = self.manifests[dataset]
        images = load_images(manifest, ids, self.size_px, self.split, self._folder_of)
        if manifest.task == "multi":
            return images, manifest.label_matrix(ids, classes)
        return images, manifest.labels(ids, classes)

    def key(self, dataset: str, ids: Sequence[str]) -> str:
        """Return a hash of what determines these images' pixels."""
        return sha256_json([self.manifests[dataset].content, self.size_px, list(ids)])
