"""How a result folder appears in MLflow: parameters, metrics, curves, tags, artifacts.

This is built only from the files, and without mlflow, so that equal files give equal projections.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from fedmvp.files import sha256_file, sha256_json
from fedmvp.results.files import FAILURES, METRICS, PERSONAL, RECORD, ROUNDS
from fedmvp.results.key import RunKey, run_name
from fedmvp.results.personal import FINE_TUNED, PersonalResult, read_personal
from fedmvp.results.record import RunRecord, read_metrics, read_record
from fedmvp.results.rounds import Failure, RoundRow, read_failures, read_rounds

__all__ = ["Projection", "curves", "flatten", "project"]


SCHEMA = 3
"""Increased when the same files have to be projected again."""

_MEANS = ("loss", "loss_ce", "loss_con", "accuracy", "of1", "learning_rate")
_SUMS = ("images", "bytes_up", "bytes_down")
_MAX_PARAM = 6000
_PERSONAL = "personal_evaluation"


@dataclass(frozen=True)
class Projection:
    """One result as MLflow shows it.

    Attributes
    ----------
    params : mapping of str to str
        Flattened parameters; every value except text is JSON, so its type can be read back.
    metrics : mapping of str to float
        The numbers of metrics.json.
    series : mapping of str to {round: value}
        Training curves.
    tags : mapping of str to str
        Identity and file hashes; nothing that depends on the time of syncing.
    files : mapping of str to Path
        Artifact path to the file it is a copy of.
    """

    folder: Path
    key: RunKey
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
        return run_name(self.key, self.fingerprint)

    @property
    def last_round(self) -> int:
        """The step at which final metrics are logged; 0 without training."""
        return max((step for curve in self.series.values() for step in curve), default=0)

    @cached_property
    def content(self) -> str:
        """Hash of everything that is projected."""
        return sha256_json(
            {
                "schema": SCHEMA,
                "params": dict(self.params),
                # repr, because a diverged loss is NaN, which JSON does not have.
                "metrics": {key: repr(value) for key, value in self.metrics.items()},
                "series": {
                    key: {str(step): repr(value) for step, value in curve.items()}
                    for key, curve in self.series.items()
                },
                "tags": dict(self.tags),
                "inputs": dict(self.inputs),
            }
        )


def project(folder: Path) -> Projection:
    """Read one result folder.

    Raises
    ------
    DataError
        When a file of it is missing or not as declared.
    """
    record = read_record(folder / RECORD)
    key, rounds = record.key, folder / ROUNDS
    trained = rounds.is_file()
    files = {f"result/{path.name}": path for path in sorted(folder.iterdir()) if path.is_file()}
    results = read_personal(folder / PERSONAL)
    personal = dict(zip((_PERSONAL, f"{_PERSONAL}/{FINE_TUNED}"), results, strict=False))
    metrics = read_metrics(folder / METRICS)
    for place, found in personal.items():  # none of them can be taken for a setting's metric
        metrics |= {f"{place}/{name}": value for name, value in found.numbers.items()}
    identity = {"setting": key.setting, "method": key.method, "seed": str(key.seed)}
    return Projection(
        folder=folder,
        key=key,
        fingerprint=record.fingerprint,
        params=flatten({**record.params, **identity, **_personal_choices(personal)}),
        metrics={metric_key(name): value for name, value in metrics.items()},
        series=series(read_rounds(rounds), read_failures(folder / FAILURES)) if trained else {},
        tags={
            **identity,
            **_maker(record, trained),
            **{f"sha256.{path.name}": sha256_file(path) for path in files.values()},
        },
        inputs=dict(sorted(record.inputs.items())),
        files=files,
    )


def _maker(record: RunRecord, trained: bool) -> dict[str, str]:
    """Return what made the result: a stage, or a federation over an engine."""
    key, engine = record.key, record.content.get("engine")
    if isinstance(engine, str):
        return {"engine": engine}
    if trained:
        return {"dvc.stage": f"train@{key.setting}-{key.method}-{key.seed}"}
    return {"dvc.stage": f"zero_shot@{key.setting}-{key.method}"}


def _personal_choices(personal: Mapping[str, PersonalResult]) -> dict[str, dict[str, Any]]:
    """Return what the personal numbers depend on, as parameters of the run."""
    return {
        place: {**found.choices, "clients": dict(found.clients)}
        for place, found in personal.items()
    }


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


def series(rounds: Sequence[RoundRow], failures: Sequence[Failure]) -> dict[str, dict[int, float]]:
    """Return the training curves of a run: over all folds, and of each."""
    found = curves(rounds, failures)
    for fold in dict.fromkeys(row.fold for row in rounds):
        found |= curves(rounds, failures, fold)
    return dict(sorted(found.items()))


def curves(
    rounds: Sequence[RoundRow], failures: Sequence[Failure], fold: str | None = None
) -> dict[str, dict[int, float]]:
    """Return the curves over all folds, or of one.

    ``train/<column>`` and ``train/<column>/<fold>``: means over clients of losses, accuracy and
    learning rate; sums of images and bytes; the numbers of clients that gave an update and of those
    that failed; ``train/phase/<phase>`` is the share of clients in it.
    """
    suffix = "" if fold is None else f"/{fold}"
    failed = Counter(failure.round for failure in failures if fold in (None, failure.fold))
    groups: dict[int, list[RoundRow]] = {}
    for row in rounds:
        if fold in (None, row.fold):
            groups.setdefault(row.round, []).append(row)
    found: dict[str, dict[int, float]] = {}
    for step, group in sorted(groups.items()):
        for key, value in (*_round_values(group), ("failures", float(failed[step]))):
            found.setdefault(metric_key(f"train/{key}{suffix}"), {})[step] = value
    return found


def _round_values(group: Sequence[RoundRow]) -> Iterator[tuple[str, float]]:
    """Yield the curves' values of one round, over its clients."""
    for column in (*_MEANS, *_SUMS):
        values = [float(v) for row in group if (v := getattr(row, column)) is not None]
        if values:
            total = math.fsum(values) if all(map(math.isfinite, values)) else math.nan
            yield column, total / len(values) if column in _MEANS else total
    yield "clients", float(len(group))
    phases = [row.phase for row in group]
    for phase in sorted(set(phases) - {""}):
        yield f"phase/{phase}", phases.count(phase) / len(phases)
