"""The list of a dataset's images with labels, domains and splits: what every later stage reads."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fedmvp.catalog.cameras import Camera
from fedmvp.catalog.spec import SentenceParts, SentenceSpec
from fedmvp.data.image import Image
from fedmvp.data.label_sets import label_matrix
from fedmvp.data.splits import Split
from fedmvp.errors import DataError

__all__ = [
    "Image",
    "Manifest",
    "SplitOrigin",
    "Task",
]

Task = Literal["single", "multi"]
"""Whether an image shows exactly one of the classes, or any number of them."""


@dataclass(frozen=True)
class SplitOrigin:
    """Where a dataset's split comes from, as tables report it.

    Parameters
    ----------
    kind : {"file", "official", "generated"}
        `file`: CoOp's split file. `official`: the dataset's own lists (train and val may be cut
        from its trainval part). `generated`: drawn by our rule, so that test images differ from
        those of published numbers.
    detail : str
        The same in one line, for people.
    """

    kind: Literal["file", "official", "generated"]
    detail: str


@dataclass(frozen=True)
class Manifest:
    """A dataset's images, sorted by label (if each has one), domain and path, and its texts' parts.

    No later stage reads the catalog, so changing an entry reruns only what uses that dataset.

    Parameters
    ----------
    template : str
        Template of texts; {} stands for the class.
    sentence : SentenceSpec
        Start of attribute sentences, by domain where they differ.
    subset : bool
        Whether only a part of the dataset is used, on purpose, so that counts may differ.
    classes : tuple of str
        In label order.
    content : str
        SHA-256 over the files' paths, lengths, the checksums of their sources and the cameras:
        changes when the images do.
    capture : mapping of domain to Camera
        The camera of each domain's images, at the severity of ``data.capture``.
    groups : tuple of str
        Superclass of each class, in label order; empty where the dataset has none.
    task : {"single", "multi"}
    unseen : tuple of str
        Classes no client may train on (zero-shot recognition of many labels).
    """

    dataset: str
    title: str
    template: str
    sentence: SentenceSpec
    split: SplitOrigin
    subset: bool
    classes: tuple[str, ...]
    domains: tuple[str, ...]
    images: tuple[Image, ...]
    content: str
    capture: Mapping[str, Camera] = field(default_factory=dict)
    groups: tuple[str, ...] = ()
    task: Task = "single"
    unseen: tuple[str, ...] = ()

    @property
    def seen(self) -> tuple[str, ...]:
        """Classes that clients train on, in label order."""
        return tuple(name for name in self.classes if name not in set(self.unseen))

    def sentence_parts(self, domain: str | None = None) -> SentenceParts:
        """Return prefix and suffix of attribute sentences; `domain` may have its own."""
        return self.sentence.of(domain)

    def without_cameras(self) -> Manifest:
        """Return the same images without cameras; `content` differs, as their pixels do."""
        if not self.capture:
            return self
        return replace(self, capture={}, content=f"{self.content} without cameras")

    @cached_property
    def by_id(self) -> dict[str, Image]:
        """Images by id."""
        return {image.id: image for image in self.images}

    def image(self, image_id: str) -> Image:
        """Return the image with this id.

        Raises
        ------
        DataError
            When the dataset has no such image.
        """
        try:
            return self.by_id[image_id]
        except KeyError:
            raise DataError(
                "no such image in the manifest",
                where=self.dataset,
                value=image_id,
                hint="run `dvc repro`: the partition is older than the manifest",
            ) from None

    def labels(self, ids: Sequence[str], classes: Sequence[str]) -> NDArray[np.int64]:
        """Return each image's index into `classes`, a selection of the dataset's classes.

        Returns
        -------
        ndarray of int64, shape (len(ids),)

        Raises
        ------
        DataError
            When an image is unknown, or its class is not among `classes`.
        """
        position = {name: i for i, name in enumerate(classes)}
        names = [self.classes[self.image(image_id).label] for image_id in ids]
        if stray := next((name for name in names if name not in position), None):
            raise DataError(
                "an image's class is not one of the candidate classes",
                where=self.dataset,
                value=stray,
                hint="run `dvc repro`: the partition is older than the manifest",
            )
        return np.array([position[name] for name in names], dtype=np.int64)

    def label_matrix(self, ids: Sequence[str], classes: Sequence[str]) -> NDArray[np.int8]:
        """Return which of `classes` each image shows: 1, 0, or -1 for ignored.

        Returns
        -------
        ndarray of int8, shape (len(ids), len(classes))

        Raises
        ------
        DataError
            When an image is unknown.
        """
        chosen = [self.classes.index(name) for name in classes]
        return label_matrix(map(self.image, ids), chosen, len(self.classes))

    def by_class(
        self, *, domains: Collection[str] | None = None, split: Split | None = None
    ) -> dict[str, list[Image]]:
        """Return the images of some domains and split by class, in label order.

        Classes without such an image are left out; an image of many labels is in many groups.
        """
        groups: dict[str, list[Image]] = {}
        for image in self.images:
            inside = domains is None or image.domain in domains
            if inside and (split is None or image.split == split):
                for label in image.labels:
                    groups.setdefault(self.classes[label], []).append(image)
        return groups
