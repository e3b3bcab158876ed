"""The partitions a profile would make, before any of its datasets has been fetched.

Images are made up: as many as the catalog says, spread evenly over domains without counts and over
the classes of each. There are as many training images as the partition can draw. With many labels,
an image shows a class and its neighbour; training images show only seen classes.
"""

from __future__ import annotations

from collections.abc import Iterator

from fedmvp.catalog.layouts import FractionsRule
from fedmvp.catalog.spec import DatasetSpec, load_spec
from fedmvp.config import Params
from fedmvp.data.manifest import Image, Manifest, SplitOrigin
from fedmvp.data.splits import Split
from fedmvp.errors import ConfigError
from fedmvp.partition.build import build_partition
from fedmvp.partition.folds import datasets_of
from fedmvp.partition.model import Partition
from fedmvp.partition.setting_spec import load_setting

__all__ = ["planned_manifest", "planned_partitions"]


def planned_partitions(params: Params) -> dict[str, Partition]:
    """Return the partition of each setting that the catalog's counts lead to.

    Raises
    ------
    ConfigError
        When the catalog does not say how many images a dataset has.
    """
    part = params.partition
    partitions = {}
    for name in params.run.settings:
        setting = load_setting(params.run.suite, name)
        shots = setting.shots or part.shots
        datasets = datasets_of(setting, params.data.datasets)
        partitions[name] = build_partition(
            name,
            setting,
            {dataset: planned_manifest(load_spec(dataset), shots) for dataset in datasets},
            classes_per_client=part.classes_per_client,
            shots=part.shots,
            seed=part.seed,
            scheme=part.scheme,
            candidates=part.candidates,
            validation=part.validation,
            annotations=part.annotations,
        )
    return partitions


def planned_manifest(spec: DatasetSpec, shots: int | None) -> Manifest:
    """Return a manifest with the counts of a catalog entry.

    Parameters
    ----------
    shots : int, optional
        Training images of each class and domain, at most.
    """
    return Manifest(
        dataset=spec.name,
        title=spec.title,
        template=spec.template,
        sentence=spec.sentence,
        split=SplitOrigin("generated", "planned"),
        subset=False,
        classes=spec.class_names,
        domains=spec.domain_names,
        images=tuple(_images(spec, shots)),
        content="planned",
        groups=spec.class_groups,
        task=spec.task,
        unseen=spec.unseen,
    )


def _images(spec: DatasetSpec, shots: int | None) -> Iterator[Image]:
    every = range(len(spec.class_names))
    seen = [label for label in every if spec.class_names[label] not in spec.unseen]
    for position, domain in enumerate(spec.domain_names):
        for split, size in _sizes(spec, domain).items():
            few = shots is not None and split == "train"
            shown = seen if split == "train" else every
            classes = len(shown)
            count = min(size, (shots or 0) * classes) if few else size
            for number in range(count):
                # Where images are fewer than classes, another domain has other classes.
                label = (number * classes // count + position) % classes
                places = {label, (label + 1) % classes} if spec.task == "multi" else {label}
                labels = tuple(sorted(shown[place] for place in places))
                path = f"{domain}/{split}/{number}"
                yield Image(f"{spec.name}/{path}", path, labels, domain, split)


def _sizes(spec: DatasetSpec, domain: str) -> dict[Split, int]:
    """Return the training and test images of a domain."""
    counts = spec.counts
    total = counts.domains.get(domain)
    if total is None and counts.images is not None:
        total = counts.images // len(spec.domain_names)
    if total is None:
        raise ConfigError(
            "does not say how many images there are",
            where=f"catalog entry {spec.name}",
            hint="give its counts",
        )
    if counts.train is not None and counts.test is not None:
        return {"train": counts.train, "test": counts.test}
    if isinstance(spec.split, FractionsRule):
        train = round(total * spec.split.train)
        return {"train": train, "test": total - train - round(total * spec.split.val)}
    return {"train": 0, "test": total}
