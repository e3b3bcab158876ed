"""What is written for a user's own images: a catalog entry and the settings that make sense."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fedmvp.partition.sampling import base_count, class_blocks

if TYPE_CHECKING:
    from fedmvp.cli.image_tree import ImageTree

__all__ = ["catalog_entry", "clients_note", "own_settings"]

_CLIENTS = 4
_USUAL_PER_CLIENT = 20  # the profiles' partition.classes_per_client


def catalog_entry(name: str, tree: ImageTree, title: str, template: str) -> dict[str, Any]:
    """Return the catalog entry of a tree, as its YAML has it.

    Half of each class's images are training images, unless the tree is divided into parts.
    """
    layout: dict[str, Any] = {"reader": _READERS[tree.kind]}
    split: dict[str, Any] = {"rule": "fractions", "train": 0.5, "within": "class"}
    if tree.kind == "parts":
        layout["parts"] = {part: folder for folder, part in tree.tops.items()}
        split = {"rule": "official"}
    if tree.kind == "domains":
        split["within"] = "class_and_domain"
    prefix, _, rest = template.partition("{}")
    return {
        "name": name,
        "title": title,
        "licence": "your own",
        "layout": layout,
        "template": template,
        "sentence": {"prefix": prefix.strip(), "suffix": rest.strip(" ,.")},
        "split": split,
        "domains": list(tree.tops) if tree.kind == "domains" else [],
        "classes": [
            name if name == folder else {"name": name, "folder": folder}
            for name, folder in tree.classes.items()
        ],
    }


_READERS = {
    "classes": "class_folders",
    "domains": "domain_class_folders",
    "parts": "part_class_folders",
}


def own_settings(name: str, tree: ImageTree) -> dict[str, dict[str, Any]]:
    """Return the settings that make sense for a tree.

    Base-to-new needs two base and two new classes; a domain setting needs two domains to train
    on, or one to train on and one to test on. If the classes per client of params.yaml would give
    fewer than four clients, a setting has its own number.
    """
    domains = len(tree.tops) if tree.kind == "domains" else 1
    few, fewer = _per_client(len(tree.classes)), _per_client(base_count(len(tree.classes)))
    settings: dict[str, dict[str, Any]] = {}
    if len(tree.classes) >= 4:
        settings["base_to_new"] = {
            "title": "Base-to-new generalisation",
            "protocol": "base_to_new",
            **fewer,
            "folds": [
                {
                    "train": {"datasets": [name], "classes": "base"},
                    "targets": [
                        {"group": "local", "each": "client"},
                        {"group": "base", "classes": "base"},
                        {"group": "new", "classes": "new"},
                    ],
                }
            ],
        }
    settings["all_classes"] = _transfer(
        "All classes, unseen images", name, [{"group": "target"}], few
    )
    settings["cross_dataset"] = _transfer(
        "Cross-dataset transfer: to the other datasets of data.datasets",
        name,
        [{"group": "target", "datasets": "others"}, {"group": "source"}],
        few,
    )
    shape = {"protocol": "transfer", "clients": "per_domain"}
    if domains >= 3:
        settings["msst"] = {
            "title": "Multi-source single-target: leave one domain out",
            **shape,
            "leave_one_domain_out": {"datasets": [name]},
        }
    if domains >= 2:
        settings["ssmt"] = {
            "title": "Single-source multi-target: train on one domain",
            **shape,
            **few,
            "single_source": {"datasets": [name]},
        }
    return settings


def _transfer(
    title: str, name: str, targets: list[dict[str, Any]], few: dict[str, int]
) -> dict[str, Any]:
    fold = {"train": {"datasets": [name]}, "targets": targets}
    return {"title": title, "protocol": "transfer", **few, "folds": [fold]}


def _per_client(classes: int) -> dict[str, int]:
    """Return the classes per client that make about four clients of few classes.

    No client gets a single class, as there would be nothing to learn.
    """
    if classes >= _CLIENTS * _USUAL_PER_CLIENT:
        return {}
    counts = range(max(2, -(-classes // _CLIENTS)), classes + 1)
    return {
        "classes_per_client": next(
            (n for n in counts if min(map(len, class_blocks(range(classes), n))) > 1), classes
        )
    }


def clients_note(classes: int, suite: Mapping[str, Any]) -> list[str]:
    """Return notes on settings with their own classes per client, and on those with one client.

    One client is not a federation.
    """
    trained = {"base_to_new": base_count(classes), "all_classes": classes, "ssmt": classes}
    lone = sorted(name for name in suite.keys() & trained.keys() if trained[name] < _CLIENTS)
    own = [
        f"{name} {value['classes_per_client']}"
        for name, value in suite.items()
        if "classes_per_client" in value and name not in lone
    ]
    lines = []
    if own:
        lines.append(
            f"few classes: these settings have their own classes_per_client: {', '.join(own)}"
        )
    if lone:
        lines.append(
            f"{', '.join(lone)}: one client, which is not a federation: two need four "
            "classes that are trained on"
        )
    return lines
