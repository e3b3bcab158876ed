"""What a result folder means to MLflow: parameters, metrics, curves, tags, artifacts.

Built from the files alone and without mlflow, so that equal files give equal projections.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from fedmvp.errors import DataError
from fedmvp.files import read_csv, read_json, sha256_file, sha256_json

__all__ = [
    "Failures",
    "Projection",
    "Rows",
    "curves",
    "flatten",
    "project",
    "result_folders",
    "round_series",
]

Rows = Sequence[Mapping[str, str]]
"""Of rounds.csv: a cell for every column."""
Failures = Sequence[Mapping[str, Any]]
"""Of failures.json: ``fold`` and ``round_index`` at least."""

SCHEMA = 3
"""Raised when the same files are to be projected anew."""

_MEANS = ("loss", "loss_ce", "loss_con", "accuracy", "learning_rate")
_SUMS = ("images", "bytes_up", "bytes_down")
_RERUN = "delete the folder and run `dvc repro`"
_MAX_PARAM = 6000


@dataclass(frozen=True)
class Projection:
    """One result as MLflow shows it.

    Attributes
    ----------
    params : mapping of str to str
        Flattened parameters; every value but a text is JSON, so its type can be read back.
    metrics : mapping of str to float
        The numbers of metrics.json.
    series : mapping of str to {round: value}
        Training curves.
    tags : mapping of str to str
        Identity and file hashes; what depends on the moment of syncing is not among them.
    files : mapping of str to Path
        Artifact path to the file it is a copy of.
    """

    folder: Path
    setting: str
    method: str
    seed: int
    fingerprint: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    series: Mapping[str, Mapping[int, float]]
    tags: Mapping[str, str]
    inputs: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Run name; explicit, since mlflow would draw one from the global random generator."""
        return run_name(self.setting, self.method, self.seed, self.fingerprint)

    @property
    def last_round(self) -> int:
        """The step final metrics are logged at; 0 without training."""
        return max((step for curve in self.series.values() for step in curve), default=0)

    @cached_property
    def content(self) -> str:
        """Hash of everything that is projected."""
        return sha256_json(
            {
                "schema": SCHEMA,
                "params": dict(self.params),
                # repr, because a diverged loss is NaN, which JSON cannot say.
                "metrics": {key: repr(value) for key, value in self.metrics.items()},
                "series": {
                    key: {str(step): repr(value) for step, value in curve.items()}
                    for key, curve in self.series.items()
                },
                "tags": dict(self.tags),
                "inputs": dict(self.inputs),
            }
        )


def run_name(setting: str, method: str, seed: int, fingerprint: str) -> str:
    """Return e.g. ``base_to_new/fedmvp/seed1-0a1b2c3d``."""
    return f"{setting}/{method}/seed{seed}-{fingerprint[:8]}"


def result_folders(results: Path) -> list[Path]:
    """Return the folders of complete results, sorted: those with run.json and metrics.json."""
    found = sorted(path.parent for path in results.glob("*/*/seed*/run.json"))
    return [folder for folder in found if (folder / "metrics.json").is_file()]


def project(folder: Path) -> Projection:
    """Read one result folder.

    Raises
    ------
    DataError
        When a file of it is missing or not as declared.
    """
    run = _run_record(folder)
    metrics = read_json(folder / "metrics.json")
    if not isinstance(metrics, dict) or not all(_is_number(v) for v in metrics.values()):
        raise DataError("not a flat mapping of numbers", where=folder / "metrics.json", hint=_RERUN)
    rounds = folder / "rounds.csv"
    files = {f"result/{path.name}": path for path in sorted(folder.iterdir()) if path.is_file()}
    identity = {key: str(run[key]) for key in ("setting", "method", "seed")}
    return Projection(
        folder=folder,
        setting=str(run["setting"]),
        method=str(run["method"]),
        seed=int(run["seed"]),
        fingerprint=str(run["fingerprint"]),
        params=flatten(run["params"] | {key: run[key] for key in identity}),
        metrics={metric_key(key): float(value) for key, value in sorted(metrics.items())},
        series=_series(folder) if rounds.is_file() else {},
        tags={
            **identity,
            "dvc.stage": _stage(run, trained=rounds.is_file()),
            **{f"sha256.{path.name}": sha256_file(path) for path in files.values()},
        },
        inputs={str(key): str(value) for key, value in sorted(run["inputs"].items())},
        files=files,
    )


def _run_record(folder: Path) -> dict[str, Any]:
    path = folder / "run.json"
    run = read_json(path)
    kinds = {
        "fingerprint": str,
        "setting": str,
        "method": str,
        "seed": int,
        "params": dict,
        "inputs": dict,
    }
    for key, kind in kinds.items():
        if not isinstance(run, dict) or not isinstance(run.get(key), kind):
            raise DataError(f"no valid {key!r} in the run record", where=path, hint=_RERUN)
    record: dict[str, Any] = run
    return record


def _stage(run: Mapping[str, Any], *, trained: bool) -> str:
    if trained:
        return f"train@{run['setting']}-{run['method']}-{run['seed']}"
    return f"zero_shot@{run['setting']}-{run['method']}"


def flatten(value: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return nested parameters as dotted keys with values as text.

    Texts stay as they are; numbers, booleans, nulls and lists are JSON.

    Examples
    --------
    >>> flatten({"a": {"b": 1, "c": [1, 2]}, "d": "text", "e": None, "f": True})
    {'a.b': '1', 'a.c': '[1, 2]', 'd': 'text', 'e': 'null', 'f': 'true'}
    """
    flat: dict[str, str] = {}
    for key, item in value.items():
        name = f"{prefix}{metric_key(str(key))}"
        if isinstance(item, Mapping) and item:
            flat |= flatten(item, f"{name}.")
        else:
            text = item if isinstance(item, str) else json.dumps(item, ensure_ascii=False)
            # Past mlflow's limit the start is shown; run.json, an artifact, holds all of it.
            flat[name] = text if len(text) <= _MAX_PARAM else f"{text[: _MAX_PARAM - 1]}…"
    return flat


def metric_key(name: str) -> str:
    """Return `name` with only the characters mlflow takes in keys."""
    return re.sub(r"[^\w\-. :/]", "_", name, flags=re.ASCII).strip("/ ") or "_"


def _series(folder: Path) -> dict[str, dict[int, float]]:
    rounds, failed = folder / "rounds.csv", folder / "failures.json"
    failures = read_json(failed) if failed.is_file() else []
    if not isinstance(failures, list) or not all(isinstance(item, dict) for item in failures):
        raise DataError("not a list of failures", where=failed, hint=_RERUN)
    return round_series(read_csv(rounds), failures, rounds)


def round_series(rows: Rows, failures: Failures, where: Path) -> dict[str, dict[int, float]]:
    """Return the training curves in rows of rounds.csv: over all folds, and of each.

    Raises
    ------
    DataError
        When a cell is not the number it should be.
    """
    try:
        series = curves(rows, failures)
        for fold in dict.fromkeys(row["fold"] for row in rows):
            series |= curves(rows, failures, fold)
    except (KeyError, ValueError, TypeError) as error:
        raise DataError(f"malformed row ({error})", where=where, hint=_RERUN) from None
    return dict(sorted(series.items()))


def curves(rows: Rows, failures: Failures, fold: str | None = None) -> dict[str, dict[int, float]]:
    """Return the curves over all folds, or of one.

    ``train/<column>`` and ``train/<column>/<fold>``: means over clients of losses, accuracy and
    learning rate; sums of images and bytes; the numbers of clients that gave an update and of those
    that failed; ``train/phase/<phase>`` is the share of clients in it.
    """
    suffix = "" if fold is None else f"/{fold}"
    failed = Counter(int(f["round_index"]) for f in failures if fold in (None, f["fold"]))
    groups: dict[int, list[Mapping[str, str]]] = {}
    for row in rows:
        if fold in (None, row["fold"]):
            groups.setdefault(int(row["round"]), []).append(row)
    series: dict[str, dict[int, float]] = {}
    for step, group in sorted(groups.items()):
        for key, value in (*_round_values(group), ("failures", float(failed[step]))):
            series.setdefault(metric_key(f"train/{key}{suffix}"), {})[step] = value
    return series


def _round_values(group: Rows) -> Iterable[tuple[str, float]]:
    """Yield the curves' values of one round, over its clients."""
    for column in (*_MEANS, *_SUMS):
        values = [float(row[column]) for row in group if row[column] != ""]
        if values:
            total = math.fsum(values) if all(map(math.isfinite, values)) else math.nan
            yield column, total / len(values) if column in _MEANS else total
    yield "clients", float(len(group))
    phases = [row["phase"] for row in group]
    for phase in sorted(set(phases) - {""}):
        yield f"phase/{phase}", phases.count(phase) / len(phases)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
