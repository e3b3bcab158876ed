"""Where files are in the repository, relative to its root, the folder every stage runs in.

Where raw images are on a machine is the business of `fedmvp.data.locations`.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = [
    "ATTRIBUTES",
    "BACKBONE",
    "PARTITIONS",
    "REPORT",
    "RESULTS",
    "attributes_path",
    "cache_root",
    "local_path",
    "manifest_path",
    "partition_path",
    "scratch_root",
    "state_folder",
]

BACKBONE = Path("data/backbone")
"""Stage ``backbone``: spec.json and weights.safetensors."""
ATTRIBUTES = Path("data/attributes")
"""Stage ``attributes``: a file for each dataset."""
PARTITIONS = Path("data/partitions")
"""Stage ``partition``: a file for each setting."""
RESULTS = Path("results")
"""Stages ``train``, ``evaluate`` and ``zero_shot``: a folder for each run (`fedmvp.results`)."""
REPORT = Path("report")
"""Stages ``report`` and ``track``."""

_EXPERIMENTS = (".dvc", "tmp", "exps")
"""Where DVC makes the folder of an experiment of ``dvc exp run --temp`` or ``--queue``."""


def attributes_path(dataset: str) -> Path:
    """Return where stage ``attributes`` writes the attributes of `dataset`."""
    return ATTRIBUTES / f"{dataset}.json"


def manifest_path(dataset: str) -> Path:
    """Return where stage ``download`` writes the manifest of `dataset`."""
    return Path("data/manifests") / f"{dataset}.json"


def partition_path(setting: str) -> Path:
    """Return where stage ``partition`` writes the clients and targets of `setting`."""
    return PARTITIONS / f"{setting}.json"


def cache_root() -> Path:
    """Return the folder of decoded images: ``FEDMVP_CACHE``, else ``.fedmvp/cache``."""
    return local_path(os.environ.get("FEDMVP_CACHE") or ".fedmvp/cache")


def scratch_root() -> Path:
    """Return the folder of unfinished trainings' checkpoints: ``FEDMVP_SCRATCH``, or the usual."""
    return Path(os.environ.get("FEDMVP_SCRATCH") or ".fedmvp/scratch")


def state_folder(root: Path = Path()) -> Path:
    """Return the project's ``.fedmvp``, machine state that is in no commit.

    DVC runs an experiment of ``--temp`` or ``--queue`` in a copy of what is in git. This machine's
    state is not in it and belongs to the project it was copied from.
    """
    parts = root.absolute().parts
    for end in range(len(parts) - len(_EXPERIMENTS), 0, -1):
        if parts[end : end + len(_EXPERIMENTS)] == _EXPERIMENTS:
            return Path(*parts[:end], ".fedmvp")
    return root / ".fedmvp"


def local_path(path: str | Path) -> Path:
    """Return a path of this machine's state; a relative one is below the project."""
    return state_folder().parent / path
