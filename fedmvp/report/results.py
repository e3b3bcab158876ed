"""Reads what training and evaluation wrote, and refuses what is not as declared."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from fedmvp.errors import DataError
from fedmvp.files import read_csv, read_json, sha256_file

__all__ = ["AttributeMap", "ExplainedImage", "Failure", "RoundRow", "Run", "TargetScore",
           "read_runs"]  # fmt: skip

_RERUN = "run `dvc repro` to build it again"


@dataclass(frozen=True)
class TargetScore:
    """A row of targets.csv: the accuracy of one model on one group of test images."""

    fold: str
    group: str
    name: str
    dataset: str
    domain: str
    classes: int
    images: int
    accuracy: float


class RoundRow(NamedTuple):
    """A row of rounds.csv: one client in one round, counted from 0; absent parts are None."""

    fold: str
    round: int
    client: str
    phase: str
    images: int
    loss: float | None
    loss_ce: float | None
    loss_con: float | None
    accuracy: float | None
    bytes_up: int
    bytes_down: int


@dataclass(frozen=True)
class AttributeMap:
    """How strongly each image patch attends to one attribute: `weights` in raster order."""

    class_name: str
    text: str
    weights: tuple[float, ...]


@dataclass(frozen=True)
class ExplainedImage:
    """An image with the attention of its patches, `grid` = (rows, columns)."""

    image_id: str
    dataset: str
    class_name: str
    predicted: str
    grid: tuple[int, int]
    attributes: tuple[AttributeMap, ...]


@dataclass(frozen=True)
class Failure:
    """A client update that could not be used, in a round counted from 0."""

    fold: str
    round: int
    client: str
    reason: str
    trace: str


@dataclass(frozen=True)
class Run:
    """One method in one setting with one seed.

    Attributes
    ----------
    rounds : tuple of RoundRow
        Empty for methods without training.
    metrics_path : str
        Path of metrics.json from the folder that holds the results folder.
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

    @property
    def trained(self) -> bool:
        """Whether the method learned anything: zero-shot methods have no rounds."""
        return bool(self.rounds)


def read_runs(
    results_dir: Path, settings: Sequence[str], methods: Sequence[str], seeds: Sequence[int]
) -> tuple[Run, ...]:
    """Read every run there is, in the order of the arguments.

    A run that has no folder, or is not yet trained and evaluated, is left out, so a report can be
    built while others still train; a finished one that lacks a file is an error.

    Raises
    ------
    DataError
        When there is no run at all, or a file is missing or malformed.
    """
    folders = (
        (setting, method, seed, results_dir / setting / method / f"seed{seed}")
        for setting in settings
        for method in methods
        for seed in seeds
    )
    runs = tuple(_read_run(*spec, results_dir) for spec in folders if _finished(spec[-1]))
    if not runs:
        raise DataError("no results to report", where=results_dir.name,
                        value=f"settings {list(settings)}, methods {list(methods)}",
                        hint="run `dvc repro` so that evaluation writes them")  # fmt: skip
    return runs


def _finished(folder: Path) -> bool:
    """Tell whether the last files of training and of evaluation are there."""
    return all((folder / name).is_file() for name in ("run.json", "metrics.json"))


def _read_run(setting: str, method: str, seed: int, folder: Path, results_dir: Path) -> Run:
    trained = (folder / "rounds.csv").exists() or (folder / "weights.safetensors").exists()
    info = read_json(folder / "run.json")
    if not isinstance(info, dict) or not isinstance(info.get("params"), dict):
        raise DataError("not a run record with `params`", where=folder / "run.json", hint=_RERUN)
    metrics_file = folder / "metrics.json"
    return Run(
        setting=setting,
        method=method,
        seed=seed,
        metrics=_metrics(metrics_file),
        targets=tuple(_target(row, folder / "targets.csv") for row in _rows(folder, "targets.csv")),
        rounds=tuple(_round(row, folder / "rounds.csv") for row in _rows(folder, "rounds.csv"))
        if trained
        else (),
        explained=_explained(folder / "explain.json"),
        failures=_failures(folder / "failures.json"),
        params=info["params"],
        fingerprint=str(info.get("fingerprint", "")),
        metrics_path=(Path(results_dir.name) / metrics_file.relative_to(results_dir)).as_posix(),
        metrics_sha256=sha256_file(metrics_file),
    )


def _metrics(path: Path) -> dict[str, float]:
    value = read_json(path)
    if not isinstance(value, dict) or not value:
        raise DataError("not a flat mapping of metrics", where=path, hint=_RERUN)
    for key, number in value.items():
        if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number <= 1:
            raise DataError(f"metric {key!r} is not a fraction in [0, 1]", where=path, value=number,
                            hint=_RERUN)  # fmt: skip
    return {key: float(number) for key, number in sorted(value.items())}


def _rows(folder: Path, name: str) -> list[dict[str, str]]:
    rows = read_csv(folder / name)
    if not rows:
        raise DataError("no rows", where=folder / name, hint=_RERUN)
    return rows


def _target(row: dict[str, str], path: Path) -> TargetScore:
    cell = _Cells(row, path)
    return TargetScore(
        fold=cell.text("fold"),
        group=cell.text("group"),
        name=cell.text("name"),
        dataset=cell.text("dataset"),
        domain=cell.text("domain"),
        classes=cell.integer("classes"),
        images=cell.integer("images"),
        accuracy=cell.fraction("accuracy"),
    )


def _round(row: dict[str, str], path: Path) -> RoundRow:
    cell = _Cells(row, path)
    return RoundRow(
        cell.text("fold"),
        cell.integer("round"),
        cell.text("client"),
        cell.text("phase"),
        cell.integer("images"),
        cell.number("loss"),
        cell.number("loss_ce"),
        cell.number("loss_con"),
        cell.number("accuracy"),
        cell.integer("bytes_up"),
        cell.integer("bytes_down"),
    )


@dataclass(slots=True)
class _Cells:
    """Typed access to a CSV row that names file, column and value when a cell is wrong."""

    row: Mapping[str, str]
    path: Path

    def text(self, column: str) -> str:
        value = self.row.get(column)
        if value is None:
            raise DataError(f"column {column!r} is missing", where=self.path, hint=_RERUN)
        return value

    def integer(self, column: str) -> int:
        try:
            return int(self.text(column))
        except ValueError:
            raise self._wrong(column, "whole number") from None

    def number(self, column: str) -> float | None:
        text = self.text(column)
        try:
            value = float(text) if text else None
        except ValueError:
            raise self._wrong(column, "number") from None
        # A diverged loss is a result to show, not a broken file; it has no place on an axis.
        return value if value is not None and math.isfinite(value) else None

    def fraction(self, column: str) -> float:
        value = self.number(column)
        if value is None or not 0 <= value <= 1:
            raise self._wrong(column, "fraction in [0, 1]")
        return value

    def _wrong(self, column: str, kind: str) -> DataError:
        return DataError(f"column {column!r} holds no {kind}", where=self.path,
                         value=self.row[column], hint=_RERUN)  # fmt: skip


def _explained(path: Path) -> tuple[ExplainedImage, ...]:
    if not path.exists():
        return ()
    try:
        return tuple(_image(item) for item in read_json(path)["images"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"malformed entry ({type(error).__name__}: {error})", where=path,
                        hint=_RERUN) from None  # fmt: skip


def _image(item: Mapping[str, Any]) -> ExplainedImage:
    rows, columns = (int(size) for size in item["grid"])
    maps = tuple(
        AttributeMap(str(a["class"]), str(a["text"]), tuple(float(w) for w in a["weights"]))
        for a in item["attributes"]
    )
    for attribute in maps:
        if len(attribute.weights) != rows * columns:
            raise ValueError(f"{len(attribute.weights)} weights on a {rows}x{columns} grid")
    return ExplainedImage(
        image_id=str(item["id"]),
        dataset=str(item["dataset"]),
        class_name=str(item["class"]),
        predicted=str(item["predicted"]),
        grid=(rows, columns),
        attributes=maps,
    )


def _failures(path: Path) -> tuple[Failure, ...]:
    if not path.exists():
        return ()
    try:
        return tuple(
            Failure(str(f["fold"]), int(f["round_index"]), str(f["client"]), str(f["error"]),
                    str(f["trace"]))
            for f in read_json(path)
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"malformed entry ({type(error).__name__}: {error})", where=path,
                        hint=_RERUN) from None  # fmt: skip
