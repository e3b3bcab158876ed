"""Make the partition of a setting: cut classes into clients, draw shots, collect targets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from fedmvp.data.manifest import Image, Manifest
from fedmvp.data.splits import Split
from fedmvp.errors import ConfigError
from fedmvp.partition.folds import explicit_folds, official_folds, select_datasets
from fedmvp.partition.model import Client, Partition, Target, check
from fedmvp.partition.sampling import base_count, class_blocks, draw_shots
from fedmvp.partition.setting_spec import MAIN_FOLD, Fold, Setting, TargetRule

__all__ = ["build_partition"]


def build_partition(
    name: str,
    setting: Setting,
    manifests: Mapping[str, Manifest],
    *,
    classes_per_client: int,
    shots: int,
    seed: int,
) -> Partition:
    """Return the clients and targets of a setting.

    Parameters
    ----------
    manifests : mapping
        Manifests of the datasets the setting reads (`fedmvp.partition.folds.datasets_of`), in the
        order of ``data.datasets``.
    classes_per_client, shots : int
        The params' values; the setting may have its own.
    seed : int
        Seed of the few-shot sample.

    Raises
    ------
    ConfigError
        When the setting names a dataset or domain that does not exist.
    DataError
        When the partition would break a guarantee of `fedmvp.partition.model`.
    """
    maker = _Maker(
        setting,
        manifests,
        classes_per_client=setting.classes_per_client or classes_per_client,
        shots=setting.shots or shots,
        seed=seed,
    )
    clients: list[Client] = []
    targets: list[Target] = []
    folds = explicit_folds(setting, {d: m.domains for d, m in manifests.items()})
    for fold in folds:
        made = list(maker.clients(fold))
        clients += made
        for rule in fold.targets:
            own = rule.each == "client"
            targets += maker.own_targets(fold, rule, made) if own else maker.targets(fold, rule)
    official = official_folds(setting, folds)
    partition = Partition(
        name,
        setting.protocol,
        setting.split,
        tuple(clients),
        tuple(targets),
        official,
        setting.participation,
    )
    check(partition, f"setting {name}")
    return partition


_Pool = dict[str, list[Image]]


@dataclass
class _Maker:
    """One setting's rules over its manifests; remembers the images of each source by class."""

    setting: Setting
    manifests: Mapping[str, Manifest]
    classes_per_client: int
    shots: int
    seed: int
    pools: dict[tuple[str, tuple[str, ...], Split | None], _Pool] = field(default_factory=dict)

    def clients(self, fold: Fold) -> Iterator[Client]:
        """Cut each source's classes into blocks and draw the shots of each block."""
        prefix = "" if fold.name == MAIN_FOLD else f"{fold.name}."
        for dataset in self._datasets(fold):
            manifest = self.manifests[dataset]
            blocks = class_blocks(_part(manifest, fold.train.classes), self.classes_per_client)
            for domain, domains in self._sources(fold, manifest):
                pool = self._pool(dataset, domains, "train")
                source = dataset if domain is None else f"{dataset}-{domain}"
                for number, block in enumerate(blocks):
                    # A domain need not show every class: a client knows those it has images of.
                    classes = tuple(name for name in block if name in pool)
                    train = [
                        image.id
                        for name in classes
                        for image in draw_shots(
                            pool[name], self.shots, self.seed, dataset, domain or "", name
                        )
                    ]
                    client_id = f"{prefix}{source}-{number:03d}"
                    yield Client(client_id, fold.name, dataset, domain, classes, tuple(train))

    def own_targets(
        self, fold: Fold, rule: TargetRule, clients: Iterable[Client]
    ) -> Iterator[Target]:
        """Give each client the test images of its own classes and domains."""
        for client in clients:
            trained = _domains(fold.train.domains, self.manifests[client.dataset])
            domains = trained if client.domain is None else (client.domain,)
            images = self._test_ids(client.dataset, domains, client.classes)
            yield Target(client.id, fold.name, rule.group, client.dataset, client.domain,
                         client.classes, images)  # fmt: skip

    def targets(self, fold: Fold, rule: TargetRule) -> Iterator[Target]:
        """Give each dataset, or dataset and domain, its test images of the rule's classes."""
        for dataset in select_datasets(rule.datasets, list(self.manifests), self._datasets(fold)):
            manifest = self.manifests[dataset]
            classes = _part(manifest, rule.classes)
            chosen = _domains(rule.domains, manifest)
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
        """Return what one row of clients draws from: each domain alone, or all together."""
        domains = _domains(fold.train.domains, manifest)
        if self.setting.clients == "per_domain":
            return [(domain, (domain,)) for domain in domains]
        return [(None, domains)]

    def _test_ids(
        self, dataset: str, domains: tuple[str, ...], classes: Sequence[str]
    ) -> tuple[str, ...]:
        pool = self._pool(dataset, domains, "test")
        return tuple(image.id for name in classes for image in pool.get(name, ()))

    def _pool(self, dataset: str, domains: tuple[str, ...], split: Split) -> _Pool:
        """Return images by class; where domains are split, an image's own split says nothing."""
        key = (dataset, domains, split if self.setting.split == "by_image" else None)
        if key not in self.pools:
            self.pools[key] = self.manifests[dataset].by_class(domains=domains, split=key[2])
        return self.pools[key]


def _part(manifest: Manifest, part: str) -> tuple[str, ...]:
    base = base_count(len(manifest.classes))
    parts = {
        "all": manifest.classes,
        "base": manifest.classes[:base],
        "new": manifest.classes[base:],
    }
    return parts[part]


def _domains(chosen: tuple[str, ...] | str, manifest: Manifest) -> tuple[str, ...]:
    if isinstance(chosen, str):
        return manifest.domains
    if stray := next((domain for domain in chosen if domain not in manifest.domains), None):
        raise ConfigError(
            "dataset has no such domain",
            where=manifest.dataset,
            value=stray,
            hint=f"known: {', '.join(manifest.domains)}",
        )
    return chosen
