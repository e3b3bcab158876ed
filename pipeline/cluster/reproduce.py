"""One stage, reproduced by DVC in the current folder: ``dvc repro --single-item`` in a process.

Several processes do this in one checkout at once. DVC allows it: its lock of the repository is
held while it looks at files, fills its cache and writes dvc.lock, and let go while the command of a
stage runs, when another lock covers that stage's own paths alone. But a plain `dvc repro` gives up
where it does not get the first lock within three seconds, also at the end of a stage, and then its
hours of work are repeated. So this one waits, as `dvc --wait-for-lock` does.
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
# Another process works on the same paths: what a killed run left behind, which is about to end.
_BUSY_S = 60.0
_STATUS = re.compile(r"exited with (-?\d+)$")


def open_repository(root: Path, config: dict[str, Any] | None = None) -> Any:
    """Return DVC's view of a checkout, with a lock that waits until it is free.

    Parameters
    ----------
    config : dict, optional
        Beside the project's own.
    """
    from dvc.lock import Lock, LockError
    from dvc.repo import Repo

    class PatientLock(Lock):  # type: ignore[misc]
        """DVC's lock; its own way of waiting looks twice a second, and stages take turns."""

        def lock(self) -> None:
            """Wait for the lock."""
            while True:
                try:
                    self._do_lock()
                    return
                except LockError:
                    time.sleep(_POLL_S)

    repo = Repo(str(root), config=config, _wait_for_lock=True)
    if type(repo.lock) is Lock:  # and not the one for disks without file locks, which waits as well
        repo.lock = PatientLock(repo.lock.lockfile)
    return repo


def reproduce(repo: Any, stage: str) -> Outcome:
    """Bring one stage up to date, whose dependencies are.

    What DVC says goes to standard output, as that of the stage does.

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
    """Tell a stage that refused from one that was killed: by a signal, as the shell reports it.

    One whose paths another process still works on, a lost machine's for instance, may be tried
    again, too.
    """
    from dvc.lock import LockError

    found = _STATUS.search(str(cause))
    code = int(found[1]) if found else 1
    died = code < 0 or code > 128 or isinstance(cause, LockError)
    return Outcome(kind="died" if died else "failed", message=one_line(str(cause)))


class _Watch(logging.Handler):
    """Notes whether DVC, which says what it does, ran the stage's command."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.ran = False

    def emit(self, record: logging.LogRecord) -> None:
        """Look at a message."""
        self.ran = self.ran or str(record.msg).startswith("Running stage")
