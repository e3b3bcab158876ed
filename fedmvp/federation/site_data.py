"""A site's images and classes: from its own folder to what it trains and is tested on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from fedmvp.attributes.class_attributes import ClassAttributes, load_attributes
from fedmvp.catalog.layouts import FractionsRule
from fedmvp.catalog.spec import DEFAULT_DOMAIN, SentenceSpec
from fedmvp.clip.backbone import Backbone
from fedmvp.data.image_source import ImageSource
from fedmvp.data.images import raw_folder
from fedmvp.data.manifest import Image, Manifest, SplitOrigin
from fedmvp.data.manifest_files import load_manifest
from fedmvp.data.readers.image_files import is_image, is_users_folder
from fedmvp.data.splits import Split, assign_splits
from fedmvp.errors import ConfigError, DataError
from fedmvp.federation.client import ClientData
from fedmvp.federation.client_images import client_data
from fedmvp.federation.site_config import SiteConfig
from fedmvp.files import sha256_json
from fedmvp.methods.banks import OneBank, text_bank
from fedmvp.methods.classes import TextBank
from fedmvp.partition.model import Client, Target
from fedmvp.partition.sampling import base_count, draw_shots

__all__ = ["SiteData", "tree_manifest"]

_FOLD = "site"
_DATASET = "images"
_PARTS: tuple[Split, ...] = ("train", "test")
_TREES = "put images into DIR/<class>/ or DIR/{train,test}/<class>/"


@dataclass(frozen=True)
class SiteData:
    """Images and texts of one site.

    Parameters
    ----------
    seed : int
        Of the split of a tree and of the draw of shots.
    """

    config: SiteConfig
    backbone: Backbone
    seed: int

    @cached_property
    def manifest(self) -> Manifest:
        """All images of the site."""
        images = self.config.images
        if images.tree is not None:
            return tree_manifest(images.tree, images.template, images.test_share, self.seed)
        assert images.manifest is not None  # one of both is there: `SiteImages`
        manifest = load_manifest(images.manifest)
        if manifest.task != "single":
            raise DataError(
                "a site's images show one class each",
                where="site.yaml: images.manifest",
                value=f"task: {manifest.task}",
                hint="take a manifest of `task: single`; many labels are simulated by `dvc repro`",
            )
        return manifest

    @cached_property
    def attributes(self) -> ClassAttributes:
        """Attribute texts of its classes."""
        return load_attributes(self.config.attributes)

    @cached_property
    def bank(self) -> TextBank:
        """Texts of all its classes."""
        chosen = self.attributes.select(self.manifest.classes)
        return text_bank(self.backbone, self.manifest, chosen, self.config.images.domain)

    @cached_property
    def known(self) -> tuple[str, ...]:
        """Classes it trains on, in label order."""
        every, chosen = self.manifest.classes, self.config.known
        if chosen == "all":
            return every
        if chosen == "half":
            return every[: base_count(len(every))]
        if stray := next((name for name in chosen if name not in every), None):
            raise ConfigError(
                "is no class of the images",
                where="site.yaml: known",
                value=stray,
                hint="name classes as their folders are named",
            )
        return tuple(name for name in every if name in chosen)

    @cached_property
    def client(self) -> Client:
        """Its training images.

        Raises
        ------
        DataError
            When there are fewer than ``minimum.images``.
        """
        shots = self.config.shots
        ids: list[str] = []
        for name, images in self._by_class("train").items():
            if name in self.known:
                chosen = images if shots is None else self._drawn(images, shots, name)
                ids += [image.id for image in chosen]
        if len(ids) < self.config.minimum.images:
            raise DataError(
                "too few images to train on",
                where="site.yaml: minimum.images",
                value=len(ids),
                hint=f"{self.config.minimum.images} are needed: add images, or lower the minimum",
            )
        manifest = self.manifest
        return Client(
            self.config.client,
            _FOLD,
            manifest.dataset,
            self.config.images.domain,
            self.known,
            tuple(ids),
        )

    @cached_property
    def targets(self) -> tuple[Target, ...]:
        """Its held-out images: of known classes among them, and of new ones among those."""
        new = tuple(name for name in self.manifest.classes if name not in self.known)
        held_out = self._by_class("test")
        groups = {"known": self.known, "new": new}
        return tuple(
            Target(
                group, _FOLD, group, self.manifest.dataset, self.config.images.domain, names, ids
            )
            for group, names in groups.items()
            if (ids := tuple(i.id for name in names for i in held_out.get(name, ())))
        )

    def client_data(self) -> ClientData:
        """Return the training images and their classes."""
        return client_data(self.client, OneBank(self.bank), self.source("train"))

    def source(self, split: Literal["train", "test"]) -> ImageSource:
        """Return what loads images of one split."""
        images = self.config.images
        root = images.tree or images.root
        folder_of = raw_folder if root is None else lambda dataset: root
        size_px = self.backbone.spec.vision.image_size
        return ImageSource({self.manifest.dataset: self.manifest}, size_px, split, folder_of)

    def _by_class(self, split: Split) -> dict[str, list[Image]]:
        domain = self.config.images.domain
        return self.manifest.by_class(domains=None if domain is None else {domain}, split=split)

    def _drawn(self, images: list[Image], shots: int, name: str) -> list[Image]:
        domain = self.config.images.domain or ""
        return draw_shots(images, shots, self.seed, self.manifest.dataset, domain, name)


def tree_manifest(folder: Path, template: str, test_share: float, seed: int) -> Manifest:
    """List the images of a tree of class folders.

    Without folders ``train`` and ``test`` at its top, a share of each class is held out.

    Raises
    ------
    DataError
        When it holds fewer than two classes, or a class in one of both parts alone.
    """
    tops = _folders(folder)
    parts = set(tops) == set(_PARTS)
    places = {part: folder / part for part in _PARTS} if parts else {None: folder}
    classes = sorted({name for place in places.values() for name in _folders(place)})
    label = {name: number for number, name in enumerate(classes)}
    found = sorted(
        (label[name], path.relative_to(folder).as_posix(), path.stat().st_size, part)
        for part, place in places.items()
        for name in _folders(place)
        for path in _images(place / name)
    )
    if len({number for number, *_ in found}) != len(classes) or len(classes) < 2:
        raise DataError(
            "holds fewer than two classes, or a class without an image",
            where=folder,
            value=len(classes),
            hint=_TREES,
        )
    if parts:
        splits = [part for *_, part in found if part is not None]
    else:
        rule = FractionsRule(rule="fractions", train=1 - test_share)
        groups = [(classes[number], DEFAULT_DOMAIN) for number, *_ in found]
        splits = assign_splits(_DATASET, groups, rule, seed)
    images = tuple(
        Image(f"{_DATASET}/{path}", path, (number,), DEFAULT_DOMAIN, split)
        for (number, path, _, _), split in zip(found, splits, strict=True)
    )
    prefix, _, rest = template.partition("{}")
    return Manifest(
        dataset=_DATASET,
        title=_DATASET,
        template=template,
        sentence=SentenceSpec(prefix=prefix.strip() or "a", suffix=rest.strip(" ,.")),
        split=SplitOrigin("official" if parts else "generated", "the site's own"),
        subset=False,
        classes=tuple(classes),
        domains=(DEFAULT_DOMAIN,),
        images=images,
        # With the folder: sites on one machine share its caches, and file names are alike.
        content=sha256_json([str(folder.resolve()), [[path, size] for _, path, size, _ in found]]),
    )


def _folders(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise DataError("folder is missing", where=folder, hint=_TREES)
    return sorted(e.name for e in os.scandir(folder) if e.is_dir() and is_users_folder(e.name))


def _images(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if is_image(path.name) and path.is_file())
