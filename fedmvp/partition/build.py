"""Make the partition of a setting: cut classes into clients, draw shots, collect targets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from fedmvp.config import AnnotationParams
from fedmvp.data.manifest import Image, Manifest
from fedmvp.data.splits import Split
from fedmvp.errors import ConfigError
from fedmvp.partition.folds import explicit_folds, official_folds, select_datasets
from fedmvp.partition.model import Client, Partition, Target, check
from fedmvp.partition.multilabel import MultiLabelMaker
from fedmvp.partition.sampling import draw_shots
from fedmvp.partition.schemes import Pool, Scheme, Share, parse_scheme
from fedmvp.partition.selection import class_part, select_domains, task_of
from fedmvp.partition.setting_spec import MAIN_FOLD, Fold, Setting, TargetRule
from fedmvp.seeds import numpy_generator

__all__ = ["build_partition", "setting_scheme"]


def build_partition(
    name: str,
    setting: Setting,
    manifests: Mapping[str, Manifest],
    *,
    classes_per_client: int,
    shots: int | None,
    seed: int,
    scheme: str | Mapping[str, Any] = "class_blocks",
    candidates: Literal["own", "all"] = "own",
    validation: float = 0.1,
    annotations: AnnotationParams | None = None,
) -> Partition:
    """Return the clients and targets of a setting.

    Parameters
    ----------
    manifests : mapping
        Manifests of the datasets the setting reads (`fedmvp.partition.folds.datasets_of`), in the
        order of ``data.datasets``.
    classes_per_client, shots, scheme, candidates
        Values of params.yaml; the setting may override them. Without `shots` all images are dealt.
    seed : int
        Seed of the few-shot sample and of the dealing.
    validation, annotations
        Values of params.yaml for images that show many classes.

    Raises
    ------
    ConfigError
        When the setting names a dataset or domain that does not exist, or the scheme is not valid
        or cannot be met with these images.
    DataError
        When the partition would break a guarantee of `fedmvp.partition.model`.
    """
    where, scheme_name, dealing = setting_scheme(name, setting, scheme, classes_per_client)
    task = task_of(name, setting, manifests)
    folds = explicit_folds(setting, {d: m.domains for d, m in manifests.items()})
    if task == "multi":
        few, said = setting.shots or shots, setting.annotations or annotations
        many = MultiLabelMaker(
            name, setting, manifests, dealing, where, few, seed, validation, said
        )
        clients, targets, shared = *_made(many, folds), True
    else:
        maker = _Maker(
            name,
            setting,
            manifests,
            scheme=dealing,
            scheme_key=where,
            shots=setting.shots or shots,
            seed=seed,
            candidates=setting.candidates or candidates,
        )
        clients, targets = _made(maker, folds)
        shared = dealing.shares_classes or maker.candidates == "all"
    official = official_folds(setting, folds)
    partition = Partition(
        name,
        setting.protocol,
        setting.split,
        tuple(clients),
        tuple(targets),
        official,
        setting.participation,
        scheme="" if scheme_name == "class_blocks" else f"{scheme_name}: {dealing.describe()}",
        shared_classes=shared,
        task=task,
        tests_training=setting.test == "train",
    )
    check(partition, f"setting {name}")
    return partition


def _made(
    maker: _Maker | MultiLabelMaker, folds: Iterable[Fold]
) -> tuple[list[Client], list[Target]]:
    """Return all clients and targets, fold by fold."""
    clients: list[Client] = []
    targets: list[Target] = []
    for fold in folds:
        made = list(maker.clients(fold))
        clients += made
        for rule in fold.targets:
            targets += maker.targets(fold, rule, made)
    return clients, targets


def setting_scheme(
    name: str, setting: Setting, scheme: str | Mapping[str, Any], classes_per_client: int
) -> tuple[str, str, Scheme]:
    """Return the key that sets a setting's partition scheme, the scheme's name and its rule.

    Parameters
    ----------
    scheme, classes_per_client
            Values of params.yaml; the setting may override them.

    Raises
    ------
    ConfigError
        See `fedmvp.partition.schemes.parse_scheme`.
    """
    where = f"setting {name}: scheme" if setting.scheme else "params.yaml: partition.scheme"
    number = setting.classes_per_client or classes_per_client
    return where, *parse_scheme(setting.scheme or scheme, where, classes_per_client=number)


_Pool = dict[str, list[Image]]


@dataclass
class _Maker:
    """One setting's rules over its manifests; remembers the images of each source by class."""

    name: str
    setting: Setting
    manifests: Mapping[str, Manifest]
    scheme: Scheme
    scheme_key: str
    shots: int | None
    seed: int
    candidates: Literal["own", "all"]
    pools: dict[tuple[str, tuple[str, ...], Split | None], _Pool] = field(default_factory=dict)
    tests: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Ids of each client's own test images, by client id."""

    def clients(self, fold: Fold) -> Iterator[Client]:
        """Draw the shots of each source's classes and let the scheme deal them."""
        prefix = "" if fold.name == MAIN_FOLD else f"{fold.name}."
        for dataset in self._datasets(fold):
            manifest = self.manifests[dataset]
            part = class_part(manifest, fold.train.classes)
            for domain, domains in self._sources(fold, manifest):
                source = dataset if domain is None else f"{dataset}-{domain}"
                train, test = self._images(dataset, domain, domains, part)
                for number, share in enumerate(self._deal(manifest, domain, part, train, test)):
                    own = [train[i] for i in share.train]
                    tested = [] if share.test is None else [test[i] for i in share.test]
                    # A domain need not show every class: a client has only those it has images of.
                    shown = {manifest.classes[image.label] for image in (*own, *tested)}
                    classes = tuple(c for c in part if c in shown or self.candidates == "all")
                    client_id = f"{prefix}{source}-{number:03d}"
                    self.tests[client_id] = (
                        self._test_ids(dataset, domains, [name for name in part if name in shown])
                        if share.test is None
                        else tuple(image.id for image in tested)
                    )
                    yield Client(
                        client_id,
                        fold.name,
                        dataset,
                        domain,
                        classes,
                        tuple(image.id for image in own),
                    )

    def _images(
        self, dataset: str, domain: str | None, domains: tuple[str, ...], part: Sequence[str]
    ) -> tuple[list[Image], list[Image]]:
        """Return the shots of each class, and the test images; both in label order."""
        pool = self._pool(dataset, domains, "train")
        shots = [
            image
            for name in part
            for image in self._shots(pool.get(name, []), dataset, domain, name)
        ]
        if self.setting.split == "by_domain":  # a training domain has no test images
            return shots, []
        tests = self._pool(dataset, domains, "test")
        return shots, [image for name in part for image in tests.get(name, ())]

    def _shots(
        self, images: list[Image], dataset: str, domain: str | None, name: str
    ) -> list[Image]:
        if self.shots is None:
            return images
        return draw_shots(images, self.shots, self.seed, dataset, domain or "", name)

    def _deal(
        self,
        manifest: Manifest,
        domain: str | None,
        part: Sequence[str],
        train: Sequence[Image],
        test: Sequence[Image],
    ) -> list[Share]:
        label = {name: number for number, name in enumerate(part)}
        where = manifest.dataset if domain is None else f"{manifest.dataset}, {domain}"
        groups = [manifest.groups[manifest.classes.index(name)] for name in part if manifest.groups]
        pool = Pool(
            train=np.array([label[manifest.classes[i.label]] for i in train], dtype=np.int64),
            test=np.array([label[manifest.classes[i.label]] for i in test], dtype=np.int64),
            classes=len(part),
            groups=tuple(sorted(set(groups)).index(group) for group in groups),
            where=f"{self.scheme_key} (setting {self.name}, {where})",
        )
        draw = numpy_generator(self.seed, "partition", manifest.dataset, domain or "")
        return self.scheme.deal(pool, draw)

    def targets(self, fold: Fold, rule: TargetRule, clients: Iterable[Client]) -> Iterator[Target]:
        """Return a rule's targets."""
        if rule.each == "client":
            return self._own_targets(fold, rule, clients)
        return self._dataset_targets(fold, rule)

    def _own_targets(
        self, fold: Fold, rule: TargetRule, clients: Iterable[Client]
    ) -> Iterator[Target]:
        """Make a target of each client's own test images, classified among its candidate classes.

        A scheme that deals test images may leave a client without any; it then has no target.
        """
        for client in clients:
            images = self.tests[client.id]
            if images or not self.scheme.shares_classes:
                yield Target(
                    client.id,
                    fold.name,
                    rule.group,
                    client.dataset,
                    client.domain,
                    client.classes,
                    images,
                )

    def _dataset_targets(self, fold: Fold, rule: TargetRule) -> Iterator[Target]:
        """Make a target of each dataset's, or dataset and domain's, test images of the classes."""
        for dataset in select_datasets(rule.datasets, list(self.manifests), self._datasets(fold)):
            manifest = self.manifests[dataset]
            classes = class_part(manifest, rule.classes)
            chosen = select_domains(rule.domains, manifest)
            each_domain = rule.each == "domain"
            for domain in chosen if each_domain else (None,):
                domains = chosen if domain is None else (domain,)
                template = rule.name or ("{domain}" if each_domain else "{dataset}")
                name = template.format(fold=fold.name, dataset=dataset, domain=domain)
                images = self._test_ids(dataset, domains, classes)
                yield Target(name, fold.name, rule.group, dataset, domain, classes, images)

    def _datasets(self, fold: Fold) -> tuple[str, ...]:
        return select_datasets(fold.train.datasets, list(self.manifests))

    def _sources(self, fold: Fold, manifest: Manifest) -> list[tuple[str | None, tuple[str, ...]]]:
        """Return the sources that clients are made from: each domain, or all domains together."""
        domains = select_domains(fold.train.domains, manifest)
        if self.scheme.per_domain and len(manifest.domains) < 2:
            raise ConfigError(
                "the partition scheme needs a dataset with domains",
                where=f"{self.scheme_key} (setting {self.name})",
                value=manifest.dataset,
                hint="choose a dataset with domains, or another scheme",
            )
        if self.setting.clients == "per_domain" or self.scheme.per_domain:
            return [(domain, (domain,)) for domain in domains]
        return [(None, domains)]

    def _test_ids(
        self, dataset: str, domains: tuple[str, ...], classes: Sequence[str]
    ) -> tuple[str, ...]:
        pool = self._pool(dataset, domains, "test")
        return tuple(image.id for name in classes for image in pool.get(name, ()))

    def _pool(self, dataset: str, domains: tuple[str, ...], split: Split) -> _Pool:
        """Return images by class; where domains are split, an image's own split is ignored."""
        key = (dataset, domains, split if self.setting.split == "by_image" else None)
        if key not in self.pools:
            self.pools[key] = self.manifests[dataset].by_class(domains=domains, split=key[2])
        return self.pools[key]
