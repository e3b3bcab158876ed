"""Clients and targets whose images are given in Python, as lists of (image, label).

They are turned into the same `Client`, `Target` and image loader as the pipeline's files, so
training and evaluation see no difference.

Shapes: N images, S side of the square the model sees.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedmvp.data.inputs import read_images
from fedmvp.errors import DataError
from fedmvp.files import sha256_bytes, sha256_json
from fedmvp.partition.model import Client, Target
from fedmvp.partition.setting_spec import MAIN_FOLD

__all__ = ["DATASET", "GivenImages", "clients_of", "targets_of"]

DATASET = "custom"
"""Name of the only dataset."""
_PAIRS = 'give {"site": [(image, "class"), ...], ...}'


class GivenImages:
    """Images in memory, by client or target; a `fedmvp.data.image_source.LoadImages`.

    Parameters
    ----------
    groups : mapping of str to iterable of (image, str)
        An image in any form (`fedmvp.data.inputs`) and the name of its class.
    size_px : int
        S.
    what : str
        The argument they were passed as, for error messages.

    Raises
    ------
    DataError
        Naming the group and what is wrong with it, or the first entry that is not an image.
    """

    def __init__(
        self, groups: Mapping[str, Iterable[tuple[Any, str]]], size_px: int, what: str
    ) -> None:
        self.ids: dict[str, tuple[str, ...]] = {}
        self.labels: dict[str, str] = {}
        self._pixels: dict[str, NDArray[np.uint8]] = {}
        given: object = groups  # a notebook may pass anything
        if not isinstance(given, Mapping) or not given:
            raise DataError("not a mapping of lists, or an empty one", where=what, hint=_PAIRS)
        for name, pairs in given.items():
            self._add(name, pairs, size_px, f"{what}: {name}")

    def _add(self, name: Any, pairs: Any, size_px: int, where: str) -> None:
        if not isinstance(name, str) or not name.isprintable() or not name or "@" in name:
            raise DataError("not a plain name", where=where, value=name, hint="use letters")
        images, labels = _split(pairs, where)
        try:
            pixels = [read_images([image], size_px).pixels for image in images]
        except DataError as error:
            raise DataError(
                error.what, where=f"{where}: {error.where}", value=error.value, hint=error.hint
            ) from None
        for place, found in enumerate(pixels):
            if len(found) != 1:
                raise DataError(
                    "several images with one label", where=where, value=place, hint=_PAIRS
                )
        self.ids[name] = tuple(f"{name}/{number:06d}" for number in range(len(labels)))
        self.labels.update(zip(self.ids[name], labels, strict=True))
        self._pixels.update(zip(self.ids[name], np.concatenate(pixels), strict=True))

    @property
    def classes(self) -> tuple[str, ...]:
        """Every class that occurs, sorted."""
        return tuple(sorted(set(self.labels.values())))

    def classes_of(self, name: str) -> tuple[str, ...]:
        """Return the classes that occur in a group, sorted."""
        return tuple(sorted({self.labels[image] for image in self.ids[name]}))

    def __call__(
        self, dataset: str, ids: Sequence[str], classes: Sequence[str]
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Return images [N, S, S, 3] and their positions in `classes`, [N]."""
        position = {name: place for place, name in enumerate(classes)}
        labels = np.array([position[self.labels[image]] for image in ids], dtype=np.int64)
        return np.stack([self._pixels[image] for image in ids]), labels

    def key(self, dataset: str, ids: Sequence[str]) -> str:
        """Return a hash of these images' pixels."""
        return sha256_json([sha256_bytes(self._pixels[image].tobytes()) for image in ids])


def _split(pairs: Any, where: str) -> tuple[list[Any], list[str]]:
    """Return the images and the labels of a list of pairs."""
    if isinstance(pairs, str | bytes) or not isinstance(pairs, Iterable):
        raise DataError("not a list of pairs", where=where, hint=_PAIRS)
    images, labels = [], []
    for place, pair in enumerate(pairs):
        if not isinstance(pair, tuple | list) or len(pair) != 2 or not isinstance(pair[1], str):
            raise DataError(
                f"entry {place} is not a pair of image and class name", where=where, hint=_PAIRS
            )
        images.append(pair[0])
        labels.append(pair[1])
    if not images:
        raise DataError("no image", where=where, hint=_PAIRS)
    return images, labels


def clients_of(images: GivenImages) -> tuple[Client, ...]:
    """Return a client for each group, in order of their names; it trains among its own classes."""
    return tuple(
        Client(name, MAIN_FOLD, DATASET, None, images.classes_of(name), images.ids[name])
        for name in sorted(images.ids)
    )


def targets_of(images: GivenImages, classes: Sequence[str]) -> tuple[Target, ...]:
    """Return a target for each group, in the order given, classified among `classes`.

    Raises
    ------
    DataError
        For a label that is not one of them.
    """
    if stray := sorted(set(images.classes) - set(classes)):
        raise DataError(
            "an image's class is not one of the candidate classes",
            where="classes",
            value=stray[0],
            hint="add it, or leave its images out",
        )
    return tuple(
        Target(name, MAIN_FOLD, "target", DATASET, None, tuple(classes), ids)
        for name, ids in images.ids.items()
    )
