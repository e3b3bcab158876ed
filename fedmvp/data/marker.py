"""The file that marks a folder of raw images as fetched; without it, the folder is the user's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fedmvp.errors import DataError
from fedmvp.files import read_json

__all__ = ["MARKER", "fetched_folder", "read_marker"]

MARKER = ".fedmvp-complete.json"
"""Written last into a folder that was fetched: digest of its source, number of files, checksums."""


def read_marker(folder: Path) -> dict[str, Any] | None:
    """Return what was fetched into a folder; None if it is the user's own."""
    try:
        marker = read_json(folder / MARKER)
    except DataError:
        return None
    return marker if isinstance(marker, dict) else None


def fetched_folder(path: Path) -> Path | None:
    """Return the fetched folder that contains a path, or None if the data is the user's own."""
    return next((place for place in (path, *path.parents) if (place / MARKER).is_file()), None)
