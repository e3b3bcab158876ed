"""Trainings that are under way, as another process sees them: by their checkpoints, without torch.

A checkpoint contains the log of all rounds of its fold, so it does not matter if some are not read.
training.json beside the folds describes the training.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedmvp.errors import DataError
from fedmvp.files import read_json, write_json
from fedmvp.results.rounds import Failure, RoundRow, failure_of

__all__ = ["FoldLog", "Running", "describe", "newest_log", "read_log", "running"]

_ABOUT = "training.json"


@dataclass(frozen=True)
class FoldLog:
    """What one fold has logged so far.

    Parameters
    ----------
    done : int
        Number of finished rounds.
    rows : tuple of RoundRow
    failures : tuple of Failure
    """

    done: int
    rows: tuple[RoundRow, ...]
    failures: tuple[Failure, ...]


@dataclass(frozen=True)
class Running:
    """A training under way.

    Parameters
    ----------
    title : str
        ``<setting> <method> seed <k>``.
    rounds : int
        Number of rounds of each fold.
    folds : mapping of str to FoldLog
        All folds in order; those that have not begun are empty.
    quiet_s : float
        Seconds since it last wrote; if far longer than a round, the training was stopped.
    """

    title: str
    rounds: int
    folds: Mapping[str, FoldLog]
    quiet_s: float


def describe(scratch: Path, title: str, rounds: int, folds: Sequence[str]) -> None:
    """Write a description of a training into the folder of its checkpoints."""
    write_json(scratch / _ABOUT, {"title": title, "rounds": rounds, "folds": list(folds)})


def running(root: Path) -> tuple[Running, ...]:
    """Return the trainings that have checkpoints below a folder, sorted by title.

    A training whose folder disappears while this reads has ended, and is left out.
    """
    found = []
    for path in sorted(root.glob(f"*/{_ABOUT}")):
        try:
            about = read_json(path)
            folds = {str(fold): _fold(path.parent / str(fold), fold) for fold in about["folds"]}
            quiet_s = max(0.0, time.time() - _written(path.parent))
            found.append(Running(str(about["title"]), int(about["rounds"]), folds, quiet_s))
        except (DataError, OSError, KeyError, TypeError, ValueError):
            continue
    return tuple(sorted(found, key=lambda training: training.title))


def _written(folder: Path) -> float:
    """Return when a training's folder was last written to, in seconds since the epoch."""
    return max(path.stat().st_mtime for path in folder.rglob("*") if path.is_file())


def _fold(folder: Path, fold: str) -> FoldLog:
    path = newest_log(folder)
    try:
        return read_log(path, fold) if path is not None else FoldLog(0, (), ())
    except (OSError, ValueError, KeyError):  # already replaced by later rounds, or damaged
        return FoldLog(0, (), ())


def newest_log(folder: Path) -> Path | None:
    """Return the newest checkpoint of a fold."""
    return max(folder.glob("round-*.safetensors"), default=None)


def read_log(path: Path, fold: str) -> FoldLog:
    """Return the log inside a checkpoint.

    Raises
    ------
    OSError, ValueError, KeyError
        When it is gone or damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as tensors:
            log: dict[str, Any] = json.loads(tensors.get_tensor("meta").tobytes())
    except SafetensorError as error:
        raise ValueError(f"not a checkpoint ({error})") from None
    return FoldLog(
        int(log["rounds_done"]),
        tuple(RoundRow(fold=fold, **row) for row in log["rows"]),
        tuple(failure_of(fold, failure) for failure in log["failures"]),
    )
