"""Miniatures of the paper's 20 datasets: their true layouts and class names, tiny images.

``python -m tests.miniatures .`` writes them below ``.fedmvp`` of a folder, for the profiles
`paper-mini` and `few-shot-mini`. Every class has an image to train on and one to test on, no more.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from fedmvp.catalog.spec import load_spec
from fedmvp.data.sources import SUBSET
from fedmvp.files import write_json
from tests.miniatures.coop import COOP
from tests.miniatures.domains import DOMAINS, FIELD
from tests.miniatures.imagenet import IMAGENET
from tests.miniatures.multilabel import MULTI
from tests.miniatures.writing import Folder

__all__ = ["FIELD", "LAYOUTS", "MULTI", "build_dataset", "build_miniatures"]

LAYOUTS = {**COOP, **IMAGENET, **DOMAINS}
"""Dataset to its folder below the data root and the function that fills it."""


def build_miniatures(root: Path, datasets: Iterable[str] = tuple(LAYOUTS)) -> None:
    """Write datasets and their attribute lists where the profiles of miniatures look."""
    for name in datasets:
        build_dataset(name, root / ".fedmvp/data")
        lists = {
            entry: [f"sign {label % 97}", f"mark {label % 89}"]
            for label, entry in enumerate(load_spec(name).class_names)
        }
        write_json(root / ".fedmvp/miniatures" / f"{name}.json", lists, sort_keys=False)


def build_dataset(name: str, data_root: Path) -> Path:
    """Write one dataset below a data root and return its folder."""
    folder, fill = {**LAYOUTS, **FIELD, **MULTI}[name]
    root = data_root / folder
    if root.exists():
        raise FileExistsError(f"{root} is there already: a miniature never replaces it")
    fill(load_spec(name), Folder(root))
    (root / SUBSET).touch()
    return root
