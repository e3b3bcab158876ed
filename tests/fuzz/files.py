"""The folder that fuzzed files are written to, and which error may leave their parsers."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from fedmvp.errors import FedMVPError

__all__ = ["folder", "written"]


@cache
def folder() -> Path:
    """Return the folder files are parsed in; in memory where there is one."""
    shared = Path("/dev/shm")  # noqa: S108
    return Path(tempfile.mkdtemp(prefix="fedmvp-fuzz-", dir=shared if shared.is_dir() else None))


@contextlib.contextmanager
def written(name: str, data: bytes) -> Iterator[Path]:
    """Write a file; the only error that may leave is one with a hint, told in one line."""
    path = folder() / name
    path.write_bytes(data)
    try:
        yield path
    except FedMVPError as error:
        line = str(error)
        assert "; hint: " in line
        assert line.isprintable()
