"""How long a run that another process trains will still take, judged by its checkpoints."""

from __future__ import annotations

import time
from pathlib import Path

from fedmvp.wording import plural

__all__ = ["time_left"]


def time_left(folder: Path, rounds: int) -> str | None:
    """Return in words how much is left of a run, or None before two rounds of a fold are done.

    The time between the newest two checkpoints of a fold is taken as the time of a round.

    Parameters
    ----------
    folder : Path
        Checkpoints of all folds of the run, in a folder per fold.
    rounds : int
        Number of rounds of all folds together.
    """
    done, newest, seconds = 0, 0.0, None
    for fold in sorted({path.parent for path in folder.rglob("round-*.safetensors")}):
        files = sorted(fold.glob("round-*.safetensors"))
        if not files:  # removed meanwhile
            continue
        times = [path.stat().st_mtime for path in files[-2:]]
        counts = [int(path.name.split("-")[1]) for path in files[-2:]]
        done += counts[-1]
        if len(files) > 1 and times[-1] > newest:
            newest = times[-1]
            seconds = max(times[1] - times[0], 0.0) / max(counts[1] - counts[0], 1)
    if seconds is None:
        return None
    left = max(rounds - done, 0) * seconds - max(time.time() - newest, 0.0)
    to_go = plural(max(round(left), 1), "second")
    return f"{done} of {plural(rounds, 'round')} done, about {to_go} to go"
