"""Which run a result belongs to, and where it is stored."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fedmvp.paths import RESULTS
from fedmvp.results.files import METRICS, RECORD

__all__ = ["RunKey", "is_complete", "result_folders", "run_name"]


@dataclass(frozen=True, order=True)
class RunKey:
    """One method in one setting with one seed."""

    setting: str
    method: str
    seed: int

    def __str__(self) -> str:
        return f"{self.setting}/{self.method}/seed{self.seed}"

    def folder(self, results: Path = RESULTS) -> Path:
        """Return where the results of this run are stored."""
        return results / self.setting / self.method / f"seed{self.seed}"


def result_folders(results: Path) -> list[Path]:
    """Return the folders of complete results, sorted: those with run.json and metrics.json."""
    found = sorted(path.parent for path in results.glob(f"*/*/seed*/{RECORD}"))
    return [folder for folder in found if is_complete(folder)]


def is_complete(folder: Path) -> bool:
    """Tell whether the last files of training and of evaluation exist."""
    return all((folder / name).is_file() for name in (RECORD, METRICS))


def run_name(key: RunKey, fingerprint: str) -> str:
    """Return e.g. ``base_to_new/fedmvp/seed1-0a1b2c3d``."""
    return f"{key}-{fingerprint[:8]}"
