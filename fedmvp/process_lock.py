"""A lock file that says which process holds it; a killed process's lock is released."""

from __future__ import annotations

import os
from pathlib import Path

from filelock import AcquireReturnProxy, FileLock, Timeout

__all__ = ["HeldElsewhere", "hold"]


class HeldElsewhere(Exception):
    """Another process holds the lock.

    Attributes
    ----------
    holder : str
        Its number; ``(unknown)`` while it has not written it yet.
    """

    def __init__(self, holder: str) -> None:
        super().__init__(holder)
        self.holder = holder


def hold(path: Path, patience_s: float) -> AcquireReturnProxy[FileLock]:
    """Take the lock, with this process's number in its file; the end of a ``with`` frees it.

    Parameters
    ----------
    patience_s : float
        How long to wait for a process that may be ending, in seconds.

    Raises
    ------
    HeldElsewhere
        When another process still holds it.
    OSError
        When the folder is missing, or its disk has no file locks.
    """
    try:
        lock = FileLock(path).acquire(timeout=patience_s)
    except Timeout:
        raise HeldElsewhere(path.read_text(encoding="utf-8") or "(unknown)") from None
    path.write_text(str(os.getpid()), encoding="utf-8")
    return lock
