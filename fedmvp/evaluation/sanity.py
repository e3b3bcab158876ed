"""Checks of an evaluation's inputs and of its accuracies.

`check_inputs` raises errors; it checks that the partition and the manifests, which different stages
made, fit together. `below_chance` can only warn: a model that knows nothing is wrong for whole
classes, not for independent images, so even an accuracy of zero may be chance, and a user's
backbone or dataset may really be that bad.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fedmvp.data.manifest import Manifest
from fedmvp.errors import DataError
from fedmvp.partition.model import Client, Partition, Target

__all__ = ["BelowChance", "below_chance", "check_inputs"]

_HINT = "run `dvc repro`: the partition is older than a manifest"
_STANDARD_ERRORS = 3.0


def check_inputs(partition: Partition, manifests: Mapping[str, Manifest]) -> None:
    """Check that labels, class names and texts are distinct and fit, and that splits are respected.

    Every `Partition` guarantees that no image is in two clients, or trained on and tested within a
    fold (`fedmvp.partition.model`).

    Parameters
    ----------
    manifests : mapping of str to Manifest
        Manifests of every dataset of the partition.

    Raises
    ------
    DataError
        When two classes have equal names in texts, a class list is not in label order, an image
        shows none of the classes (allowed with many labels), or an image is of the wrong split.
    """
    for name, manifest in manifests.items():
        _check_classes(name, manifest)
    for client in partition.clients:
        own = (*client.train, *client.validation)
        _check_part(client, own, partition.train_split, manifests[client.dataset])
    for target in partition.targets:
        _check_part(target, target.images, partition.test_split, manifests[target.dataset])


def _check_classes(name: str, manifest: Manifest) -> None:
    read: dict[str, str] = {}
    for class_name in manifest.classes:
        # As CLIP reads names: underscores are spaces, and case does not matter.
        text = " ".join(class_name.replace("_", " ").casefold().split())
        if text in read:
            raise DataError(
                f"two classes read the same: {read[text]!r}, {class_name!r}",
                where=f"dataset {name}",
                hint="rename one in the catalog entry",
            )
        read[text] = class_name


def _check_part(
    part: Client | Target, images: Iterable[str], split: str, manifest: Manifest
) -> None:
    what = "client" if isinstance(part, Client) else "target"
    where = f"{what} {part.id if isinstance(part, Client) else part.name}"
    position = {name: label for label, name in enumerate(manifest.classes)}
    labels = [position.get(name, -1) for name in part.classes]
    if -1 in labels or labels != sorted(set(labels)):
        raise DataError("classes are not the dataset's in label order", where=where, hint=_HINT)
    known = set(labels)
    for image in map(manifest.image, images):
        if manifest.task == "single" and image.label not in known:
            raise DataError(
                "image shows none of the classes", where=where, value=image.id, hint=_HINT
            )
        if split not in ("all", image.split):
            raise DataError(
                f"image is in split {image.split!r}, not {split!r}",
                where=where,
                value=image.id,
                hint=_HINT,
            )


@dataclass(frozen=True)
class BelowChance:
    """A target with an accuracy below that of guessing.

    Parameters
    ----------
    accuracy, chance : float
        Fractions; chance is 1 / number of classes.
    """

    fold: str
    group: str
    name: str
    dataset: str
    accuracy: float
    chance: float

    def __str__(self) -> str:
        return (
            f"{self.group} {self.name} ({self.dataset}): accuracy {100 * self.accuracy:.2f} % "
            f"is below chance, {100 * self.chance:.2f} %; see that class names, labels and "
            "weights belong together"
        )


def below_chance(rows: Iterable[Mapping[str, Any]]) -> list[BelowChance]:
    """Return the targets whose accuracy is more than three standard errors below chance.

    Parameters
    ----------
    rows : iterable of mapping
        Rows of targets.csv. The standard error is that of guessing: √(p (1 - p) / n) for
        p = 1 / classes and n images.
    """
    found = []
    for row in rows:
        chance, accuracy = 1 / int(row["classes"]), float(row["accuracy"])
        error = math.sqrt(chance * (1 - chance) / int(row["images"]))
        if accuracy < chance - _STANDARD_ERRORS * error:
            fold, group, name, dataset = (
                str(row[key]) for key in ("fold", "group", "name", "dataset")
            )
            found.append(BelowChance(fold, group, name, dataset, accuracy, chance))
    return found
