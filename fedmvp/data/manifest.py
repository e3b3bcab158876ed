"""The list of a dataset's images with labels, domains and splits: what every later stage reads."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from fedmvp.catalog.cameras import Camera
from fedmvp.catalog.spec import SentenceParts, SentenceSpec
from fedmvp.data.splits import Split
from fedmvp.errors import DataError
from fedmvp.files import read_json, write_text

__all__ = [
    "Image",
    "Manifest",
    "SplitOrigin",
    "load_manifest",
    "save_manifest",
]

_COLUMNS = ["path", "label", "domain", "split"]
_SPLITS: tuple[str, ...] = get_args(Split)


@dataclass(frozen=True, slots=True)
class Image:
    """An image of a dataset.

    Parameters
    ----------
    id : str
        ``<dataset>/<path>``: unique over all datasets and the same on every machine.
    path : str
        Relative to the folder its layout begins at, with forward slashes.
    label : int
        Index into the dataset's classes.
    domain : str
        One of the dataset's domains.
    split : {"train", "val", "test"}
        Settings that split by domain ignore it.
    """

    id: str
    path: str
    label: int
    domain: str
    split: Split


@dataclass(frozen=True)
class SplitOrigin:
    """Where a dataset's split comes from, for tables to say so.

    Parameters
    ----------
    kind : {"file", "official", "generated"}
        `file`: CoOp's split file. `official`: the dataset's own lists (train and val may be cut
        from its trainval part). `generated`: drawn by our rule, so test images are not those of
        published numbers.
    detail : str
        One line for people.
    """

    kind: Literal["file", "official", "generated"]
    detail: str


@dataclass(frozen=True)
class Manifest:
    """A dataset's images, ordered by label, domain and path, and the parts of its texts.

    No later stage reads the catalog: adding or correcting an entry reruns only what uses it.

    Parameters
    ----------
    template : str
        Hand-written prompt; {} stands for the class.
    sentence : SentenceSpec
        Start of attribute sentences, by domain where they differ.
    subset : bool
        Whether a part of the dataset is used on purpose, so that counts are not the declared ones.
    classes : tuple of str
        In label order.
    content : str
        SHA-256 over the files' paths, lengths, the checksums of their sources and the cameras:
        changes when the images do.
    capture : mapping of domain to Camera
        What each domain's images are seen through, at the severity of ``data.capture``.
    groups : tuple of str
        Superclass of each class, in label order; empty where the dataset has none.
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

    def sentence_parts(self, domain: str | None = None) -> SentenceParts:
        """Return prefix and suffix of attribute sentences; `domain` may have its own."""
        return self.sentence.of(domain)

    def without_cameras(self) -> Manifest:
        """Return the same images as they are, under another content: their pixels differ."""
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
            When the dataset has none.
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
                "an image's class is not among the classes it is classified among",
                where=self.dataset,
                value=stray,
                hint="run `dvc repro`: the partition is older than the manifest",
            )
        return np.array([position[name] for name in names], dtype=np.int64)

    def by_class(
        self, *, domains: Collection[str] | None = None, split: Split | None = None
    ) -> dict[str, list[Image]]:
        """Return the images of some domains and split by class, in label order.

        Classes without such an image are left out.
        """
        groups: dict[str, list[Image]] = {}
        for image in self.images:
            inside = domains is None or image.domain in domains
            if inside and (split is None or image.split == split):
                groups.setdefault(self.classes[image.label], []).append(image)
        return groups


def save_manifest(manifest: Manifest, path: Path) -> None:
    """Write a manifest as JSON, one image per line, the same bytes for the same manifest."""
    head: dict[str, Any] = {
        "dataset": manifest.dataset,
        "title": manifest.title,
        "template": manifest.template,
        "sentence": manifest.sentence.model_dump(mode="json"),
        "split": {"kind": manifest.split.kind, "detail": manifest.split.detail},
        "subset": manifest.subset,
        "content": manifest.content,
        "classes": manifest.classes,
        "domains": manifest.domains,
        "columns": _COLUMNS,
    }
    if manifest.capture:
        cameras = manifest.capture.items()
        head["capture"] = {domain: camera.model_dump(mode="json") for domain, camera in cameras}
    if manifest.groups:
        head["groups"] = manifest.groups
    rows = [[i.path, i.label, i.domain, i.split] for i in manifest.images]
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    text = json.dumps(head, ensure_ascii=False, indent=1).removesuffix("\n}")
    write_text(path, f'{text},\n "images": [\n{lines}\n ]\n}}\n')


def load_manifest(path: Path) -> Manifest:
    """Read and validate a manifest.

    Raises
    ------
    DataError
        When the file is missing or is not a valid manifest.
    """
    value = read_json(path)
    try:
        if value["columns"] != _COLUMNS:
            raise ValueError(f"columns are not {_COLUMNS}")
        images = tuple(_image(value["dataset"], row) for row in value["images"])
        manifest = Manifest(
            dataset=value["dataset"],
            title=value["title"],
            template=value["template"],
            sentence=SentenceSpec.model_validate(value["sentence"]),
            split=SplitOrigin(**value["split"]),
            subset=value["subset"],
            classes=tuple(value["classes"]),
            domains=tuple(value["domains"]),
            images=images,
            content=value["content"],
            capture=_cameras(value.get("capture", {})),
            groups=tuple(value.get("groups", ())),
        )
        _check(manifest)
    except (LookupError, TypeError, ValueError) as error:
        raise DataError(
            f"not a valid manifest ({type(error).__name__}: {error})",
            where=path,
            hint="delete it and run `dvc repro download`",
        ) from None
    return manifest


def _image(dataset: object, row: Any) -> Image:
    path, label, domain, split = row
    return Image(f"{dataset}/{path}", path, label, domain, split)


def _cameras(value: object) -> dict[str, Camera]:
    if not isinstance(value, dict):
        raise TypeError("capture is not a mapping of domains to cameras")
    return {domain: Camera.model_validate(camera) for domain, camera in value.items()}


def _check(manifest: Manifest) -> None:
    head: tuple[object, ...] = (manifest.dataset, manifest.title, manifest.template,
                                manifest.content, *manifest.classes, *manifest.domains,
                                *manifest.groups)
    if stray := next((text for text in head if not isinstance(text, str)), None):
        raise ValueError(f"{stray!r} is not text")
    if stray := next((name for name in manifest.capture if name not in manifest.domains), None):
        raise ValueError(f"capture names {stray!r}, which is not a domain")
    if len(set(manifest.classes)) != len(manifest.classes):
        raise ValueError("a class is listed twice")
    if manifest.groups and len(manifest.groups) != len(manifest.classes):
        raise ValueError("groups does not name a superclass for each class")
    if len(manifest.by_id) != len(manifest.images):
        raise ValueError("an image is listed twice")
    known_labels, known_domains = range(len(manifest.classes)), frozenset(manifest.domains)
    for image in manifest.images:
        known = type(image.label) is int and image.label in known_labels
        if not known or image.domain not in known_domains or image.split not in _SPLITS:
            raise ValueError(f"label, domain or split of {image.path!r} is unknown")
        if not _is_inside(image.path):
            raise ValueError(f"{image.path!r} leaves the dataset's folder")


def _is_inside(path: object) -> bool:
    return isinstance(path, str) and not path.startswith("/") and ".." not in path.split("/")
