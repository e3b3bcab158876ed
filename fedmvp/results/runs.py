"""Whole runs, as the report reads them: every file of a result folder, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedmvp.errors import DataError
from fedmvp.files import sha256_file
from fedmvp.results.explained import ExplainedImage, read_explained
from fedmvp.results.files import (
    EXPLAINED,
    FAILURES,
    METRICS,
    PERSONAL,
    RECORD,
    ROUNDS,
    TARGETS,
    WEIGHTS,
)
from fedmvp.results.key import RunKey, is_complete
from fedmvp.results.personal import PersonalResult, read_personal
from fedmvp.results.record import read_metrics, read_record
from fedmvp.results.rounds import Failure, RoundRow, read_failures, read_rounds
from fedmvp.results.targets import TargetScore, read_targets

__all__ = ["Run", "read_runs"]


@dataclass(frozen=True)
class Run:
    """One method in one setting with one seed.

    Attributes
    ----------
    rounds : tuple of RoundRow
        Empty for methods without training; numbers that are not finite are None.
    metrics_path : str
        Path of metrics.json, relative to the parent of the results folder.
    personal : tuple of PersonalResult
        One for each kind of client's model; empty without ``evaluation.personal``.
    """

    setting: str
    method: str
    seed: int
    metrics: Mapping[str, float]
    targets: tuple[TargetScore, ...]
    rounds: tuple[RoundRow, ...]
    explained: tuple[ExplainedImage, ...]
    failures: tuple[Failure, ...]
    params: Mapping[str, Any]
    fingerprint: str
    metrics_path: str
    metrics_sha256: str
    personal: tuple[PersonalResult, ...] = ()

    @property
    def trained(self) -> bool:
        """Whether the method learned anything: zero-shot methods have no rounds."""
        return bool(self.rounds)


def read_runs(
    results_dir: Path, settings: Sequence[str], methods: Sequence[str], seeds: Sequence[int]
) -> tuple[Run, ...]:
    """Read every existing run, in the order of the arguments.

    A run that has no folder, or is not yet trained and evaluated, is left out, so a report can be
    built while others still train; a finished run without one of its files is an error.

    Raises
    ------
    DataError
        When there is no run at all, or a file is missing or malformed.
    """
    keys = (
        RunKey(setting, method, seed)
        for setting in settings
        for method in methods
        for seed in seeds
    )
    runs = tuple(
        _read_run(key, results_dir) for key in keys if is_complete(key.folder(results_dir))
    )
    if not runs:
        raise DataError(
            "no results to report",
            where=results_dir.name,
            value=f"settings {list(settings)}, methods {list(methods)}",
            hint="run `dvc repro` so that evaluation writes them",
        )
    return runs


def _read_run(key: RunKey, results_dir: Path) -> Run:
    folder = key.folder(results_dir)
    trained = (folder / ROUNDS).exists() or (folder / WEIGHTS).exists()
    record = read_record(folder / RECORD)
    metrics_file = folder / METRICS
    rounds = read_rounds(folder / ROUNDS) if trained else ()
    return Run(
        setting=key.setting,
        method=key.method,
        seed=key.seed,
        metrics=read_metrics(metrics_file),
        targets=read_targets(folder / TARGETS),
        rounds=tuple(row.finite() for row in rounds),
        explained=read_explained(folder / EXPLAINED),
        failures=read_failures(folder / FAILURES),
        params=record.params,
        fingerprint=record.fingerprint,
        metrics_path=(Path(results_dir.name) / metrics_file.relative_to(results_dir)).as_posix(),
        metrics_sha256=sha256_file(metrics_file),
        personal=read_personal(folder / PERSONAL),
    )
