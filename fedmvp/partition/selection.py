"""Which classes and domains of a dataset a setting's rule refers to, and its images' task."""

from __future__ import annotations

from collections.abc import Mapping

from fedmvp.data.manifest import Manifest, Task
from fedmvp.errors import ConfigError
from fedmvp.partition.sampling import base_count
from fedmvp.partition.setting_spec import Setting

__all__ = ["class_part", "select_domains", "task_of"]


def class_part(manifest: Manifest, part: str) -> tuple[str, ...]:
    """Return the classes of a part, in label order: all, base, new, seen or unseen."""
    base = base_count(len(manifest.classes))
    parts = {
        "all": manifest.classes,
        "base": manifest.classes[:base],
        "new": manifest.classes[base:],
        "seen": manifest.seen,
        "unseen": manifest.unseen,
    }
    return parts[part]


def select_domains(chosen: tuple[str, ...] | str, manifest: Manifest) -> tuple[str, ...]:
    """Return the domains named, or all.

    Raises
    ------
    ConfigError
        When the dataset has no such domain.
    """
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


def task_of(name: str, setting: Setting, manifests: Mapping[str, Manifest]) -> Task:
    """Return the task of the setting's datasets, which must fit its protocol.

    Raises
    ------
    ConfigError
        When they do not.
    """
    task: Task = "multi" if setting.protocol == "multilabel" else "single"
    for dataset, manifest in manifests.items():
        if manifest.task != task:
            raise ConfigError(
                f"protocol {setting.protocol} is for images that show "
                + ("many classes" if task == "multi" else "one class"),
                where=f"setting {name}",
                value=f"{dataset} (task: {manifest.task})",
                hint="choose datasets of one task in data.datasets, and settings of their protocol",
            )
    return task
