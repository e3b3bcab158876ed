"""A site's images and classes: from its folder to its training and test images."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from fedmvp.attributes.class_attributes import ClassAttributes, load_attributes
from fedmvp.clip.backbone import Backbone
from fedmvp.data.image_source import ImageSource
from fedmvp.data.images import raw_folder
from fedmvp.data.manifest import Image, Manifest
from fedmvp.data.manifest_files import load_manifest
from fedmvp.data.splits import Split
from fedmvp.errors import ConfigError, DataError
from fedmvp.federation.client import ClientData
from fedmvp.federation.client_images import client_data
from fedmvp.federation.site_config import SiteConfig
from fedmvp.federation.site_trees import labelled_manifest, tree_manifest
from fedmvp.methods.banks import OneBank, text_bank
from fedmvp.methods.classes import TextBank
from fedmvp.methods.heads import Head, SoftmaxHead
from fedmvp.partition.model import Client, Target
from fedmvp.partition.sampling import base_count, draw_labelled, draw_shots
from fedmvp.seeds import numpy_generator

__all__ = ["SiteData"]

_FOLD = "site"


@dataclass(frozen=True)
class SiteData:
    """Images and texts of one site.

    Parameters
    ----------
    seed : int
        Seed of a tree's split and of the drawing of shots.
    head : Head, optional
        The training method's head: whether images show many classes, and in which views.
    """

    config: SiteConfig
    backbone: Backbone
    seed: int
    head: Head = field(default_factory=SoftmaxHead)

    @cached_property
    def manifest(self) -> Manifest:
        """All images of the site."""
        manifest = self._read()
        task = "multi" if self.head.many_labels else "single"
        if manifest.task != task:
            raise DataError(
                "the images do not fit the federation's task",
                where="site.yaml: images",
                value=f"task: {manifest.task}",
                hint="give a table of labels: `fedmvp site init … --labels FILE`"
                if task == "multi"
                else "give images of one class each, without `labels`",
            )
        return manifest

    def _read(self) -> Manifest:
        images = self.config.images
        if images.tree is None:
            assert images.manifest is not None  # `SiteImages` requires one of the two
            return load_manifest(images.manifest)
        options = (images.template, images.test_share, self.seed)
        if images.labels is None:
            return tree_manifest(images.tree, *options)
        return labelled_manifest(images.tree, images.labels, *options)

    @cached_property
    def attributes(self) -> ClassAttributes:
        """Attribute texts of the site's classes."""
        return load_attributes(self.config.attributes)

    @cached_property
    def bank(self) -> TextBank:
        """Texts of all classes of the site."""
        chosen = self.attributes.select(self.manifest.classes)
        return text_bank(self.backbone, self.manifest, chosen, self.config.images.domain)

    @cached_property
    def known(self) -> tuple[str, ...]:
        """Classes the site trains on, in label order."""
        every, chosen = self.manifest.classes, self.config.known
        if chosen == "all":
            return every
        if chosen == "half":
            return every[: base_count(len(every))]
        if stray := next((name for name in chosen if name not in every), None):
            raise ConfigError(
                "is not a class of the images",
                where="site.yaml: known",
                value=stray,
                hint="name classes as their folders are named",
            )
        return tuple(name for name in every if name in chosen)

    @cached_property
    def client(self) -> Client:
        """The client with its training images.

        Raises
        ------
        DataError
            When there are fewer than ``minimum.images``, or, with many labels, none for a class.
        """
        ids = self._labelled() if self.head.many_labels else self._of_classes()
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
        """Held-out images: those of known classes among these, those of new ones among those."""
        groups = {"known": self.known, "new": self._new()}
        return tuple(
            Target(
                group, _FOLD, group, self.manifest.dataset, self.config.images.domain, names, ids
            )
            for group, names in groups.items()
            if names and (ids := self._held_out(group, names))
        )

    def client_data(self) -> ClientData:
        """Return the training images and their classes."""
        return client_data(self.client, OneBank(self.bank), self.source("train"), self.head)

    def source(self, split: Literal["train", "test"]) -> ImageSource:
        """Return a source that loads images of one split."""
        images = self.config.images
        root = images.tree or images.root
        folder_of = raw_folder if root is None else lambda dataset: root
        size_px = self.backbone.spec.vision.image_size * self.head.grid
        return ImageSource({self.manifest.dataset: self.manifest}, size_px, split, folder_of)

    def _new(self) -> tuple[str, ...]:
        return tuple(name for name in self.manifest.classes if name not in self.known)

    def _held_out(self, group: str, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return a group's images; with many labels, all, or those that show a new class."""
        if self.head.many_labels and group == "known":
            return tuple(image.id for image in self._of_split("test"))
        found = self._by_class("test")
        ids = [image.id for name in names for image in found.get(name, ())]
        return tuple(dict.fromkeys(ids))  # an image may show several classes

    def _of_classes(self) -> list[str]:
        """Return the training images of the known classes, where images show one class each."""
        shots, ids = self.config.shots, []
        for name, images in self._by_class("train").items():
            if name in self.known:
                chosen = images if shots is None else self._drawn(images, shots, name)
                ids += [image.id for image in chosen]
        return ids

    def _labelled(self) -> list[str]:
        """Return the training images that show no new class, including those that show none."""
        manifest = self.manifest
        new = {manifest.classes.index(name) for name in self._new()}
        images = [image for image in self._of_split("train") if not new & set(image.labels)]
        if self.config.shots is not None:
            draw = numpy_generator(self.seed, "shots", manifest.dataset)
            images = draw_labelled(images, self.config.shots, len(manifest.classes), draw)
        shown = {label for image in images for label in image.labels}
        absent = [name for name in self.known if manifest.classes.index(name) not in shown]
        if absent:
            raise DataError(
                "no training image shows the class",
                where="site.yaml: known",
                value=absent[0],
                hint="add images of it, or list the other classes under `known`",
            )
        return [image.id for image in images]

    def _of_split(self, split: Split) -> list[Image]:
        domain = self.config.images.domain
        return [
            image
            for image in self.manifest.images
            if image.split == split and domain in (None, image.domain)
        ]

    def _by_class(self, split: Split) -> dict[str, list[Image]]:
        domain = self.config.images.domain
        return self.manifest.by_class(domains=None if domain is None else {domain}, split=split)

    def _drawn(self, images: list[Image], shots: int, name: str) -> list[Image]:
        domain = self.config.images.domain or ""
        return draw_shots(images, shots, self.seed, self.manifest.dataset, domain, name)
