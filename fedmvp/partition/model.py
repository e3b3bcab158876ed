"""Clients and targets of a setting: types, and the guarantees every reader relies on.

These guarantees are checked whenever a partition is made or read: ids are unique; no client is
empty; the clients of a fold share no class of a dataset and domain (unless the scheme deals
images); no image belongs to two clients, for training or validation; and within a fold no image of
a client is tested.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fedmvp.errors import DataError
from fedmvp.partition.setting_spec import GROUPS, Protocol

__all__ = ["Client", "Partition", "Target", "check"]


@dataclass(frozen=True, slots=True)
class Client:
    """A client of the federation.

    Parameters
    ----------
    id : str
        Unique in the setting.
    domain : str or None
        None: its images come from all domains.
    classes : tuple of str
        Its classes in label order: what it classifies among.
    train : tuple of str
        Ids of its training images.
    validation : tuple of str
        Ids of the images on which a decision threshold is chosen (many labels).
    annotations : tuple of str
        Known labels of its training images, then of its validation images, if not all are known:
        a text for each image with ``1`` (shown), ``0`` (absent) or ``?`` (unknown) per class.
    """

    id: str
    fold: str
    dataset: str
    domain: str | None
    classes: tuple[str, ...]
    train: tuple[str, ...]
    validation: tuple[str, ...] = ()
    annotations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """Test images that are classified among `classes`.

    Parameters
    ----------
    name : str
        Unique within (fold, group, dataset).
    group : {"local", "base", "new", "target", "source", "global", "zsl", "gzsl"}
        "source" is reported but not in a transfer setting's mean.
    annotations : tuple of str
        Annotations of its images, in a client's form, if these differ from the true labels.
    """

    name: str
    fold: str
    group: str
    dataset: str
    domain: str | None
    classes: tuple[str, ...]
    images: tuple[str, ...]
    annotations: tuple[str, ...] = ()


@dataclass(frozen=True)
class Partition:
    """All clients and targets of a setting.

    Attributes
    ----------
    official : tuple of str
        The folds that the paper's public code runs; their mean is reported beside the mean of all.
    participation : float or None
        Share of the clients in each round; None: that of ``federation.participation``.
    scheme : str
        The partition scheme and its parameters in words; empty for class blocks.
    shared_classes : bool
        Whether clients of a dataset and domain may have classes in common.
    task : {"single", "multi"}
        Whether images show one class each, or any number.
    tests_training : bool
        Whether models are tested on training images: a published rule, for comparison only.
    """

    setting: str
    protocol: Protocol
    split: Literal["by_image", "by_domain"]
    clients: tuple[Client, ...]
    targets: tuple[Target, ...]
    official: tuple[str, ...] = ()
    participation: float | None = None
    scheme: str = ""
    shared_classes: bool = False
    task: Literal["single", "multi"] = "single"
    tests_training: bool = False

    @property
    def folds(self) -> tuple[str, ...]:
        """Fold names in the setting's order; without clients, those of the targets."""
        parts: tuple[Client | Target, ...] = self.clients or self.targets
        return tuple(dict.fromkeys(part.fold for part in parts))

    @property
    def datasets(self) -> tuple[str, ...]:
        """Datasets of the clients, then further ones of the targets."""
        trained = [client.dataset for client in self.clients]
        return tuple(dict.fromkeys([*trained, *(target.dataset for target in self.targets)]))

    @property
    def train_split(self) -> Literal["train", "all"]:
        """The split in which `load_images` must find every training image.

        In a setting split by domain, a fold's disjoint domains replace the image splits.
        """
        return "train" if self.split == "by_image" else "all"

    @property
    def test_split(self) -> Literal["test", "all"]:
        """The split in which `load_images` must find every target image."""
        return "test" if self.split == "by_image" and not self.tests_training else "all"

    def clients_of(self, fold: str) -> tuple[Client, ...]:
        """Return the clients of a fold, in order of their ids."""
        return tuple(client for client in self.clients if client.fold == fold)

    def targets_of(self, fold: str) -> tuple[Target, ...]:
        """Return the targets of a fold, in the setting's order."""
        return tuple(target for target in self.targets if target.fold == fold)


def check(partition: Partition, where: str) -> None:
    """Check this module's guarantees.

    Raises
    ------
    DataError
        Naming the client, class or image that breaks one.
    """
    if (
        str(partition.protocol) not in GROUPS  # an untrusted file may contain anything, even a list
        or partition.split not in {"by_image", "by_domain"}
    ):
        raise _broken("protocol or split is unknown", where, partition.protocol)
    if partition.task != ("multi" if partition.protocol == "multilabel" else "single"):
        raise _broken("task does not fit the protocol", where, partition.task)
    if not partition.clients or not partition.targets:
        raise _broken("no clients or no targets", where, None)
    _require_distinct((c.id for c in partition.clients), "client id is used twice", where)
    _require_distinct(
        ((t.fold, t.group, t.dataset, t.name) for t in partition.targets),
        "target is listed twice",
        where,
    )
    if stray := set(partition.official) - set(partition.folds):
        raise _broken("official fold has no client", where, min(stray))
    for client in partition.clients:
        _check_lists("client", client.id, client.classes, client.train, where)
        images = len(client.train) + len(client.validation)
        _check_annotations(client, f"client {client.id}", images, where)
    for target in partition.targets:
        _check_lists("target", target.name, target.classes, target.images, where)
        _check_annotations(target, f"target {target.name}", len(target.images), where)
        if target.group not in GROUPS[partition.protocol]:
            raise _broken("group is unknown in this protocol", where, target.group)
        if target.fold not in partition.folds:
            raise _broken("target's fold has no client", where, target.fold)
    for fold in partition.folds:
        clients = partition.clients_of(fold)
        if not partition.shared_classes:
            _require_distinct(
                ((c.dataset, c.domain, name) for c in clients for name in c.classes),
                "two clients share a class",
                where,
            )
        tested = () if partition.tests_training else partition.targets_of(fold)
        _check_fold(clients, tested, where)


def _check_fold(clients: Sequence[Client], targets: Sequence[Target], where: str) -> None:
    trained = [image for c in clients for image in (*c.train, *c.validation)]
    _require_distinct(trained, "two clients share an image", where)
    both = set(trained).intersection(image for target in targets for image in target.images)
    if both:
        raise _broken("image is trained on and tested in one fold", where, min(both))


def _check_lists(
    kind: str, name: str, classes: Sequence[str], images: Sequence[str], where: str
) -> None:
    if not classes or not images:
        raise DataError(
            f"{kind} is empty",
            where=where,
            value=name,
            hint="raise classes_per_client or choose fewer clients, or leave its dataset or domain "
            "out of the setting",
        )
    _require_distinct(classes, f"class is listed twice in {kind} {name}", where)
    _require_distinct(images, f"image is listed twice in {kind} {name}", where)


def _check_annotations(part: Client | Target, name: str, images: int, where: str) -> None:
    if not part.annotations:
        return
    if len(part.annotations) != images:
        raise _broken(f"not one annotation for each image of {name}", where, None)
    for text in part.annotations:
        if len(text) != len(part.classes) or not set(text) <= set("01?"):
            raise _broken(f"annotation of {name} does not consist of 0, 1 and ?", where, text)


def _require_distinct(values: Iterable[Any], message: str, where: str) -> None:
    seen: set[Any] = set()
    for value in values:
        if value in seen:
            raise _broken(message, where, value)
        seen.add(value)


def _broken(message: str, where: str, value: object) -> DataError:
    return DataError(
        message,
        where=where,
        value=value,
        hint="correct the setting's YAML, or run `dvc repro partition`",
    )
