"""The rounds that a training in another process has finished so far, read from its checkpoints.

Only the log inside a checkpoint is read, without torch, which costs a second and 200 MB. A
checkpoint contains all rounds of its fold, so it does not matter if some are not read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from fedmvp.results.rounds import Failure, RoundRow
from fedmvp.results.running import newest_log, read_log
from fedmvp.tracking.projection import curves
from fedmvp.tracking.upsert import Point

__all__ = ["FinishedRounds"]


class FinishedRounds:
    """The rounds that have been finished since the last call.

    Parameters
    ----------
    scratch : Path
        Folder of a training's checkpoints, which has a folder for each fold.
    folds : sequence of str
        All of them: a mean over folds is known when the last one has finished the round.
    """

    def __init__(self, scratch: Path, folds: Sequence[str]) -> None:
        self._folders = {fold: scratch / fold for fold in folds}
        self._read: dict[str, str] = {}
        self._rows: dict[str, list[RoundRow]] = {fold: [] for fold in folds}
        self._failures: dict[str, list[Failure]] = {fold: [] for fold in folds}
        self._done = dict.fromkeys(folds, 0)
        self._told: dict[str | None, int] = {}

    def new(self) -> list[Point]:
        """Return points of the curves that were not returned yet."""
        for fold in self._folders:
            self._look(fold)
        found = [point for fold in self._folders for point in self._since(fold, self._done[fold])]
        return [*found, *self._since(None, min(self._done.values()))]

    def again(self) -> None:
        """Forget what was returned, so that everything is returned again."""
        self._told.clear()

    def _look(self, fold: str) -> None:
        """Read the newest checkpoint of a fold, if there is one that was not read."""
        path = newest_log(self._folders[fold])
        if path is None or self._read.get(fold) == path.name:
            return
        try:
            log = read_log(path, fold)
        except (OSError, ValueError, KeyError):  # already replaced by later rounds, or damaged
            return
        self._read[fold], self._done[fold] = path.name, log.done
        self._failures[fold], self._rows[fold] = list(log.failures), list(log.rows)

    def _since(self, fold: str | None, done: int) -> Iterator[Point]:
        start = self._told.get(fold, 0)
        self._told[fold] = done
        if start >= done:
            return
        rows = [row for some in self._rows.values() for row in some if start <= row.round < done]
        failures = [failure for some in self._failures.values() for failure in some]
        for key, curve in curves(rows, failures, fold).items():
            yield from ((key, step, value) for step, value in curve.items())
