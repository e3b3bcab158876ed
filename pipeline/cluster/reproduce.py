"""One stage, reproduced by DVC in the current folder: ``dvc repro --single-item`` in a process.

Several processes do this in one checkout at the same time, as DVC allows: it holds its repository
lock while it checks files, fills its cache and writes dvc.lock, but not while a stage's command
runs; then another lock covers only that stage's paths. A plain `dvc repro`, however, gives up when
it does not get the repository lock within three seconds, even at the end of a stage, and hours of
work are lost. So this one waits, as `dvc --wait-for-lock` does.
"""

from __future__ import annotations

import logging
import re
import time
from pathlib import Path
from typing import Any

from fedmvp.errors import one_line
from pipeline.cluster.outcome import Outcome

__all__ = ["failure", "open_repository", "reproduce"]

_POLL_S = 0.02
# Another process uses the same paths, for instance one that a killed run left, which will end soon.
_BUSY_S = 60.0
_STATUS = re.compile(r"exited with (-?\d+)$")


def open_repository(root: Path, config: dict[str, Any] | None = None) -> Any:
    """Return a checkout's DVC repository, with a lock that waits until it is free.

    Parameters
    ----------
    config : dict, optional
        Configuration in addition to the project's own.
    """
    from dvc.lock import Lock, LockError
    from dvc.repo import Repo

    class PatientLock(Lock):  # type: ignore[misc]
        """DVC's lock with faster polling: DVC checks only twice a second, and stages take turns."""

        def lock(self) -> None:
            """Wait for the lock."""
            while True:
                try:
                    self._do_lock()
                    return
                except LockError:
                    time.sleep(_POLL_S)

    repo = Repo(str(root), config=config, _wait_for_lock=True)
    if type(repo.lock) is Lock:  # the lock for disks without file locks waits anyway
        repo.lock = PatientLock(repo.lock.lockfile)
    return repo


def reproduce(repo: Any, stage: str) -> Outcome:
    """Bring one stage up to date; its dependencies must already be.

    DVC's messages go to standard output, together with the stage's.

    Parameters
    ----------
    repo : dvc.repo.Repo
        See `open_repository`.
    stage : str
        Its name.
    """
    from dvc.exceptions import DvcException
    from dvc.lock import LockError

    watch = _Watch()
    logger = logging.getLogger("dvc")
    logger.setLevel(logging.INFO)
    logger.addHandler(watch)
    try:
        until = time.monotonic() + _BUSY_S
        while True:
            try:
                done = repo.reproduce([stage], single_item=True)
                break
            except DvcException as error:
                cause = error.__cause__ or error
                if not isinstance(cause, LockError) or time.monotonic() > until:
                    return failure(cause)
                time.sleep(1)
    finally:
        logger.removeHandler(watch)
    if not done:
        return Outcome(kind="unchanged")
    return Outcome(kind="ran" if watch.ran else "restored")


def failure(cause: BaseException) -> Outcome:
    """Return the outcome of a stage that failed, or that was killed by a signal and may run again.

    A stage may also run again if another process still uses its paths, for instance one of a lost
    machine.
    """
    from dvc.lock import LockError

    found = _STATUS.search(str(cause))
    code = int(found[1]) if found else 1
    died = code < 0 or code > 128 or isinstance(cause, LockError)
    return Outcome(kind="died" if died else "failed", message=one_line(str(cause)))


class _Watch(logging.Handler):
    """Notes from DVC's messages whether it ran the stage's command."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.ran = False

    def emit(self, record: logging.LogRecord) -> None:
        """Check a message."""
        self.ran = self.ran or str(record.msg).startswith("Running stage")
