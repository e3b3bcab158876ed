"""Time and memory that stages took here before, for planning the next run.

They are kept by command in ``.fedmvp/run/stages.json`` (git-ignored). A stage that never ran is
expected to take what the most similar ones took: the same setting and method with another seed,
else the same method, else the same stage.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from pydantic import BaseModel, ConfigDict, NonNegativeFloat, ValidationError

from fedmvp.files import write_json
from pipeline.cluster.graph import Stage

__all__ = ["RUN_FOLDER", "Estimates", "Measured"]

RUN_FOLDER = Path(".fedmvp/run")
_FILE = "stages.json"


class Measured(BaseModel):
    """What a stage took in its last run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seconds: NonNegativeFloat
    memory_gib: NonNegativeFloat | None = None


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid")

    stages: dict[str, Measured] = {}


@dataclass
class Estimates:
    """What is known about stages, by command."""

    path: Path
    measured: dict[str, Measured]

    @classmethod
    def load(cls, root: Path) -> Estimates:
        """Return what was recorded in a checkout."""
        path = root / RUN_FOLDER / _FILE
        return cls(path, cls.read(path))

    @staticmethod
    def read(path: Path) -> dict[str, Measured]:
        """Return a file's records by command; empty if the file is damaged or missing."""
        try:
            return dict(_Record.model_validate_json(path.read_bytes()).stages)
        except (OSError, ValidationError):
            return {}

    def record(self, command: str, seconds: float, memory_gib: float | None) -> None:
        """Record what a stage took."""
        self.measured[command] = Measured(seconds=round(seconds, 3), memory_gib=memory_gib)
        stages = {name: one.model_dump() for name, one in sorted(self.measured.items())}
        write_json(self.path, {"stages": stages})

    def seconds(self, stages: Iterable[Stage]) -> dict[str, float | None]:
        """Return the expected seconds of stages by name; None where nothing similar ran here."""
        return {stage.name: self._mean(stage, "seconds") for stage in stages}

    def memory_gib(self, stage: Stage) -> float | None:
        """Return the memory a stage is expected to take, in GiB; None if unknown."""
        return self._mean(stage, "memory_gib")

    def _mean(self, stage: Stage, field: str) -> float | None:
        """Return a field's mean over the most similar stages for which it is known."""
        known = {
            command: value
            for command, one in self.measured.items()
            if (value := getattr(one, field)) is not None
        }
        if stage.command in known:
            return float(known[stage.command])
        own = _words(stage.command)
        common = {command: _common(own, _words(command)) for command in known}
        best = max(common.values(), default=(False, 0, 0))
        if not best[0]:
            return None
        return fmean(known[command] for command, value in common.items() if value == best)


def _words(command: str) -> dict[str, str]:
    """Return the options of a command by name, and under "" the module it runs."""
    words = shlex.split(command)
    first = next((n for n, word in enumerate(words) if word.startswith("--")), len(words))
    options = dict(zip(words[first::2], words[first + 1 :: 2], strict=False))
    return {"": " ".join(words[:first]), **options}


def _common(one: dict[str, str], other: dict[str, str]) -> tuple[bool, int, int]:
    """Return how similar two commands are: same stage, same method, number of equal options."""
    same = {key for key in one if one[key] == other.get(key)}
    return "" in same, int("--method" in same), len(same)
