"""Where things stand in the repository; relative to its root, the folder every stage runs in.

Where raw images lie on a machine is another matter: `fedmvp.data.locations`.
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
    "manifest_path",
    "partition_path",
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
    return Path(os.environ.get("FEDMVP_CACHE") or ".fedmvp/cache")
