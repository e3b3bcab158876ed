"""Make the partition of a setting whose images show many classes (docs/multilabel.md#protocol).

Every client has the whole list of training classes, as if annotators shared one guide; clients
differ in their images. An image belongs to one client, which sets aside some of its images for
validation. Test images are the dataset's own, unchanged.

Shapes: N images, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fedmvp.config import AnnotationParams
from fedmvp.data.image import Image
from fedmvp.data.label_sets import rarest_labels
from fedmvp.data.manifest import Manifest
from fedmvp.errors import ConfigError, DataError
from fedmvp.partition.annotations import annotate
from fedmvp.partition.folds import select_datasets
from fedmvp.partition.model import Client, Target
from fedmvp.partition.sampling import draw_labelled
from fedmvp.partition.schemes import Pool, Scheme
from fedmvp.partition.selection import class_part, select_domains
from fedmvp.partition.setting_spec import MAIN_FOLD, Fold, Setting, TargetRule
from fedmvp.seeds import numpy_generator

__all__ = ["MultiLabelMaker", "validation_places"]


@dataclass
class MultiLabelMaker:
    """Applies a setting's rules to multi-label manifests.

    Parameters
    ----------
    scheme_key : str
        The key that sets the scheme, for error messages.
    """

    name: str
    setting: Setting
    manifests: Mapping[str, Manifest]
    scheme: Scheme
    scheme_key: str
    shots: int | None
    seed: int
    validation: float
    annotations: AnnotationParams | None
    tests: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Ids of each client's own test images, by client id."""
    trained: dict[tuple[str, str], list[Image]] = field(default_factory=dict)
    """Training images by fold and dataset."""

    def __post_init__(self) -> None:
        if not self.scheme.shares_classes:
            raise ConfigError(
                "the partition scheme gives each class to one client, which is impossible for "
                "images of many labels",
                where=self.scheme_key,
                value=self.scheme.describe(),
                hint="choose label_clusters, dirichlet, iid or one_client",
            )

    def clients(self, fold: Fold) -> Iterator[Client]:
        """Deal each dataset's training images."""
        prefix = "" if fold.name == MAIN_FOLD else f"{fold.name}."
        for dataset in select_datasets(fold.train.datasets, list(self.manifests)):
            manifest = self.manifests[dataset]
            classes = class_part(manifest, fold.train.classes)
            domains = select_domains(fold.train.domains, manifest)
            train = self._sample(manifest, self._images(manifest, domains, "train"))
            groups = self._check(manifest, fold, classes, train)
            self.trained[fold.name, dataset] = train
            apart = self.setting.clients == "per_domain" or self.scheme.per_domain
            for domain in domains if apart else (None,):
                own = [place for place, image in enumerate(train) if domain in (None, image.domain)]
                test = self._tested(fold, manifest, domains if domain is None else (domain,))
                source = dataset if domain is None else f"{dataset}-{domain}"
                found = self._deal(
                    manifest, domain, classes, [train[i] for i in own], groups[own], test
                )
                for number, (images, held, tested) in enumerate(found):
                    client = f"{prefix}{source}-{number:03d}"
                    self.tests[client] = tested
                    kept = tuple(i for i in images if i not in held)
                    validation = tuple(i for i in images if i in held)
                    said = self._annotations(manifest, (*kept, *validation), classes)
                    yield Client(
                        client, fold.name, dataset, domain, classes, kept, validation, said
                    )

    def _deal(
        self,
        manifest: Manifest,
        domain: str | None,
        classes: tuple[str, ...],
        train: Sequence[Image],
        groups: NDArray[np.int64],
        test: Sequence[Image],
    ) -> Iterator[tuple[tuple[str, ...], frozenset[str], tuple[str, ...]]]:
        """Yield each client's images, those among them for validation, and its test images."""
        labels, tested = (_matrix(manifest, images, classes) for images in (train, test))
        where = manifest.dataset if domain is None else f"{manifest.dataset}, {domain}"
        pool = Pool(
            train=groups,
            test=rarest_labels(tested, among=labels),
            classes=len(classes) + 1,
            where=f"{self.scheme_key} (setting {self.name}, {where})",
            train_labels=labels == 1,
            test_labels=tested == 1,
        )
        key = (manifest.dataset, domain or "")
        dealt = self.scheme.deal(pool, numpy_generator(self.seed, "partition", *key))
        given = [share.test for share in dealt if share.test is not None]
        # Test images whose rarest class no client has are dealt evenly to all clients.
        rest = np.setdiff1d(np.arange(len(test)), np.concatenate(given) if given else [])
        drawn = numpy_generator(self.seed, "local", *key).permutation(rest)
        more = np.array_split(drawn, len(dealt))
        for number, share in enumerate(dealt):
            draw = numpy_generator(self.seed, "validation", *key, number)
            images = tuple(train[i].id for i in share.train)
            held = validation_places(groups[share.train], self.validation, draw)
            own = [] if share.test is None else [*share.test, *more[number]]
            tests = tuple(test[i].id for i in sorted(own))
            yield images, frozenset(images[i] for i in held), tests

    def targets(self, fold: Fold, rule: TargetRule, clients: Sequence[Client]) -> Iterator[Target]:
        """Return a rule's targets: each client's own test images, or a dataset's."""
        if rule.each == "client":
            for client in clients:
                if own := self.tests[client.id]:
                    yield Target(
                        client.id,
                        fold.name,
                        rule.group,
                        client.dataset,
                        client.domain,
                        client.classes,
                        own,
                        self._test_annotations(self.manifests[client.dataset], own, client.classes),
                    )
            return
        trained = select_datasets(fold.train.datasets, list(self.manifests))
        for dataset in select_datasets(rule.datasets, list(self.manifests), trained):
            manifest = self.manifests[dataset]
            classes = class_part(manifest, rule.classes)
            images = self._tested(fold, manifest, select_domains(rule.domains, manifest))
            if rule.group in ("zsl", "gzsl"):
                shown = (_matrix(manifest, images, classes) == 1).any(axis=1)
                images = [image for image, some in zip(images, shown, strict=True) if some]
            name = (rule.name or "{dataset}").format(fold=fold.name, dataset=dataset)
            ids = tuple(image.id for image in images)
            outputs = manifest.classes if rule.outputs == "all" else classes
            said = self._test_annotations(manifest, ids, outputs)
            yield Target(name, fold.name, rule.group, dataset, None, outputs, ids, said)

    def _images(self, manifest: Manifest, domains: Sequence[str], split: str) -> list[Image]:
        """Return the images of a split that show enough classes."""
        least = self.setting.min_labels
        found = (i for i in manifest.images if i.domain in domains and i.split == split)
        return [image for image in found if len(image.labels) >= least]

    def _tested(self, fold: Fold, manifest: Manifest, domains: Sequence[str]) -> list[Image]:
        """Return the test images of some domains, as the setting's `test` says."""
        train = self.trained.get((fold.name, manifest.dataset), [])
        if self.setting.test == "train":
            return [image for image in train if image.domain in domains]
        images = self._images(manifest, domains, "test")
        return images[: len(train)] if self.setting.test == "cut" else images

    def _test_annotations(
        self, manifest: Manifest, images: Sequence[str], classes: Sequence[str]
    ) -> tuple[str, ...]:
        if self.annotations is None or not self.annotations.test:
            return ()
        return self._annotations(manifest, images, classes)

    def _annotations(
        self, manifest: Manifest, images: Sequence[str], classes: Sequence[str]
    ) -> tuple[str, ...]:
        if self.annotations is None:
            return ()
        return annotate(manifest, images, classes, self.annotations, self.seed)

    def _sample(self, manifest: Manifest, images: list[Image]) -> list[Image]:
        """Return a sample in which each label has `shots` images, as far as there are."""
        if self.shots is None:
            return images
        draw = numpy_generator(self.seed, "shots", manifest.dataset)
        return draw_labelled(images, self.shots, len(manifest.classes), draw)

    def _check(
        self, manifest: Manifest, fold: Fold, classes: tuple[str, ...], train: Sequence[Image]
    ) -> NDArray[np.int64]:
        """Return the rarest label of each training image; refuse images that cannot be used."""
        where = f"setting {self.name}, dataset {manifest.dataset}"
        stray = [name for name in manifest.unseen if name in classes]
        if stray and fold.train.unseen == "refuse":
            raise ConfigError(
                "the setting trains on a class that the catalog entry lists as unseen",
                where=where,
                value=stray[0],
                hint="write `classes: seen` under train, or `unseen: negatives`",
            )
        unseen = {manifest.classes.index(name) for name in manifest.unseen}
        for image in train:
            if shown := unseen.intersection(image.labels):
                raise DataError(
                    "a training image shows an unseen class",
                    where=image.id,
                    value=manifest.classes[min(shown)],
                    hint="leave the image out, or take the class out of `unseen`",
                )
        if not train:
            raise DataError(
                "no training image is left",
                where=where,
                value=f"min_labels {self.setting.min_labels}",
                hint="lower min_labels of the setting, or train on other domains",
            )
        matrix = _matrix(manifest, train, classes)
        counts = (matrix == 1).sum(axis=0)
        absent = [n for n, c in zip(classes, counts, strict=True) if not c and n not in stray]
        if absent:
            raise DataError(
                "a class has no positive training image",
                where=where,
                value=absent[0],
                hint="raise partition.shots, or list the class under `unseen` in the catalog entry",
            )
        return rarest_labels(matrix)


def validation_places(
    groups: NDArray[np.int64], share: float, draw: np.random.Generator
) -> frozenset[int]:
    """Choose a share of a client's images for validation, stratified by group.

    Images are sorted by group, in random order within one, and every 1/share-th is taken: each
    group contributes its share to within one image.

    Parameters
    ----------
    groups : ndarray of int, shape [N]
        Rarest label of each image.
    """
    count = min(round(len(groups) * share), len(groups) - 1)
    if count < 1:
        return frozenset()
    order = np.lexsort((draw.permutation(len(groups)), groups))
    places = ((np.arange(count) + 0.5) * len(groups) / count).astype(np.int64)
    return frozenset(order[places].tolist())


def _matrix(
    manifest: Manifest, images: Sequence[Image], classes: Sequence[str]
) -> NDArray[np.int8]:
    return manifest.label_matrix([image.id for image in images], classes)
