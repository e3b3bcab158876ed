"""Where datasets live on this machine, and where manifests live in the repository.

Raw images and decoded images are machine state: git-ignored, rebuilt on demand, and placed by the
environment (``FEDMVP_DATA``, ``FEDMVP_CACHE``), never by params. All defaults are relative to the
repository root, the folder every stage runs in.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cache_root", "data_root", "manifest_path", "partition_path"]


def data_root() -> Path:
    """Return the folder of raw datasets: ``FEDMVP_DATA``, else ``.fedmvp/data``."""
    return Path(os.environ.get("FEDMVP_DATA") or ".fedmvp/data")


def cache_root() -> Path:
    """Return the folder of decoded images: ``FEDMVP_CACHE``, else ``.fedmvp/cache``."""
    return Path(os.environ.get("FEDMVP_CACHE") or ".fedmvp/cache")


def manifest_path(dataset: str) -> Path:
    """Return where stage ``download`` writes the manifest of `dataset`."""
    return Path("data/manifests") / f"{dataset}.json"


def partition_path(setting: str) -> Path:
    """Return where stage ``partition`` writes the clients and targets of `setting`."""
    return Path("data/partitions") / f"{setting}.json"
