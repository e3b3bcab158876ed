"""A lock file that says which process holds it; a killed process's lock is released."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import AcquireReturnProxy, FileLock, Timeout

from fedmvp.errors import ConfigError

__all__ = ["HeldElsewhere", "hold", "hold_alone"]


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


@contextmanager
def hold_alone(
    path: Path, patience_s: float, doing: str, *, where: Path, hint: str = ""
) -> Iterator[None]:
    """Within this context, hold the lock; the error says what the other process is doing.

    Parameters
    ----------
    patience_s : float
        How long to wait for a process that may be ending, in seconds.
    doing : str
        Follows "process N", e.g. "already serves this federation".
    hint : str
        Follows the advice to stop that process.

    Raises
    ------
    ConfigError
        When another process holds it.
    """
    try:
        lock = hold(path, patience_s)
    except HeldElsewhere as other:
        raise ConfigError(
            f"process {other.holder} {doing}",
            where=where,
            hint=f"stop it first: `kill {other.holder}`{hint}",
        ) from None
    with lock:
        yield
