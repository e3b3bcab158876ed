"""What a stage's log says: its round, its loss, its memory, and why it failed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["LogView", "read_log"]

_TAIL_BYTES = 4096
_ROUND = re.compile(r"round (\d+/\d+)")
_LOSS = re.compile(r"loss (-?[\d.]+)")
_MEMORY = re.compile(r"about ([\d.]+) GiB of memory")


@dataclass(frozen=True)
class LogView:
    """What is shown of a running stage, and recorded of one that ended.

    Parameters
    ----------
    round : str
        Round of the current fold, e.g. ``3/16``; empty for a stage without rounds.
    loss : str
        Loss of the last round; empty for a stage without rounds.
    memory_gib : float, optional
        Memory the stage takes, as it reports.
    error : str
        The last line that begins with ``error:``.
    """

    round: str = ""
    loss: str = ""
    memory_gib: float | None = None
    error: str = ""


def read_log(path: Path) -> LogView:
    """Read the beginning and the end of a log; return an empty view if it does not exist."""
    try:
        with path.open("rb") as file:
            head = file.read(_TAIL_BYTES)
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL_BYTES))
            tail = file.read()
    except FileNotFoundError:
        return LogView()
    lines = tail.decode("utf-8", errors="replace").splitlines()
    memory = _MEMORY.search(head.decode("utf-8", errors="replace"))
    rounds = [line for line in lines if _ROUND.search(line)]
    last = rounds[-1] if rounds else ""
    errors = [line for line in lines if line.startswith("error: ")]
    return LogView(
        round=_first(_ROUND, last),
        loss=_first(_LOSS, last),
        memory_gib=float(memory[1]) if memory else None,
        error=errors[-1].removeprefix("error: ") if errors else "",
    )


def _first(pattern: re.Pattern[str], line: str) -> str:
    found = pattern.search(line)
    return found[1] if found else ""
