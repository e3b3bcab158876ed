"""Bounds on the cache of decoded images: what is used least recently goes first.

The limit is ``FEDMVP_CACHE_GIB``. Removing a file that a running stage has mapped is safe: its
content lives until that stage ends.
"""

from __future__ import annotations

import math
import os
import shutil
import time
from pathlib import Path

from fedmvp.errors import ConfigError, DataError

__all__ = ["DEFAULT_LIMIT_GIB", "cache_limit_bytes", "make_room", "mark_used"]

GIB = 1 << 30
DEFAULT_LIMIT_GIB = 100.0
"""Holds every image list of the paper at 224 pixels but all of DomainNet at once."""

_SPARE_BYTES = 1 << 28
"""Left free on the disk for everything else a run writes."""

_ABANDONED_S = 24 * 3600
"""Age after which an unfinished file is that of a killed process."""


def cache_limit_bytes() -> int:
    """Return the most bytes that decoded images may take.

    Raises
    ------
    ConfigError
        When ``FEDMVP_CACHE_GIB`` is not a positive number.
    """
    given = os.environ.get("FEDMVP_CACHE_GIB") or str(DEFAULT_LIMIT_GIB)
    try:
        limit = float(given)
    except ValueError:
        limit = math.nan
    if not (math.isfinite(limit) and limit > 0):
        raise ConfigError(
            "not a positive number",
            where="environment variable FEDMVP_CACHE_GIB",
            value=given,
            hint=f"set the GiB that decoded images may take, or unset it for {DEFAULT_LIMIT_GIB:g}",
        )
    return int(limit * GIB)


def mark_used(path: Path) -> None:
    """Note that a file was used just now; a read-only cache is used all the same."""
    try:
        os.utime(path)
    except OSError:
        return


def make_room(root: Path, need_bytes: int) -> None:
    """Remove files below `root`, least recently used first, until `need_bytes` fit.

    Raises
    ------
    DataError
        When they can never fit: they exceed the limit, or the disk is full of other things.
    """
    root.mkdir(parents=True, exist_ok=True)
    limit = cache_limit_bytes()
    files = sorted(_files(root), key=lambda entry: entry[1])
    total = sum(size for _, _, size in files)
    free = shutil.disk_usage(root).free
    for path, used, size in files:
        abandoned = path.name.startswith(".") and time.time() - used > _ABANDONED_S
        full = total + need_bytes > limit or need_bytes + _SPARE_BYTES > free
        if abandoned or (full and not path.name.startswith(".")):
            path.unlink(missing_ok=True)
            total, free = total - size, free + size
    if need_bytes > limit or need_bytes + _SPARE_BYTES > free:
        what, most = ("cache limit", limit) if need_bytes > limit else ("free disk space", free)
        raise DataError(
            f"decoded images need {need_bytes / GIB:.1f} GiB, more than the {what}",
            where=root,
            value=f"{most / GIB:.1f} GiB",
            hint="set FEDMVP_CACHE to a folder on a larger disk, or raise FEDMVP_CACHE_GIB",
        )


def _files(root: Path) -> list[tuple[Path, float, int]]:
    """Return path, time of last use and size of each file."""
    found = []
    for path in root.rglob("*"):
        try:
            state = path.stat()
        except FileNotFoundError:  # removed by another process
            continue
        if path.is_file():
            found.append((path, state.st_mtime, state.st_size))
    return found
