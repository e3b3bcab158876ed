"""Which tables and plot data are written as files, with which columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fedmvp.csv_files import write_csv
from fedmvp.files import write_json
from fedmvp.report import csv_rows
from fedmvp.report.class_scores import ClassScore
from fedmvp.report.comparisons import Comparisons
from fedmvp.report.federations import FEDERATION_COLUMNS, federation_rows
from fedmvp.report.personal import PERSONAL_COLUMNS, personal_rows
from fedmvp.report.study import Study
from fedmvp.report.training import curve_names

__all__ = ["write_tables"]

_ESTIMATE = ("mean", "std", "seeds")


def write_tables(
    study: Study,
    comparisons: Comparisons,
    out_dir: Path,
    classes: Mapping[str, Sequence[ClassScore]],
) -> None:
    """Write ``tables/*.csv``, ``plots/*.csv`` and ``metrics.json`` in `out_dir`.

    Parameters
    ----------
    classes : mapping of setting to sequence of ClassScore
        Content of ``tables/classes.csv``, which is written only if images show many classes.
    """
    tables, plots = out_dir / "tables", out_dir / "plots"
    write_csv(
        tables / "summary.csv",
        ["setting", "method", "metric", *_ESTIMATE],
        csv_rows.summary(study),
    )
    write_csv(
        tables / "per_dataset.csv",
        ["setting", "method", "metric", "part", *_ESTIMATE],
        csv_rows.per_dataset(study),
    )
    write_csv(
        tables / "ranking.csv",
        ["setting", "metric", "method", "rank", "methods", "mean"],
        csv_rows.ranking(study),
    )
    write_csv(
        tables / "intervals.csv",
        [
            "setting",
            "metric",
            "method",
            "reference",
            "difference",
            "low",
            "high",
            "kind",
            "wins",
            "seeds",
        ],
        csv_rows.intervals(comparisons),
    )
    write_csv(
        tables / "targets.csv",
        [
            "setting",
            "fold",
            "group",
            "name",
            "dataset",
            "domain",
            "classes",
            "images",
            "method",
            *_ESTIMATE,
        ],
        csv_rows.targets(study),
    )
    write_csv(
        tables / "communication.csv",
        [
            "setting",
            "method",
            "rounds",
            "clients_per_round",
            "up_per_client",
            "down_per_client",
            "up_per_round",
            "down_per_round",
            "up_total",
            "down_total",
        ],
        csv_rows.communication(study),
    )
    write_csv(
        tables / "provenance.csv",
        ["setting", "method", "seed", "file", "sha256", "fingerprint"],
        csv_rows.provenance(study),
    )
    write_csv(
        tables / "published.csv",
        ["setting", "source", "title", "method", "evidence", "metric", "value"],
        csv_rows.published(study),
    )
    write_csv(
        tables / "datasets.csv",
        [
            "dataset",
            "title",
            "classes",
            "domains",
            "train",
            "val",
            "test",
            "split",
            "split_detail",
            "subset",
        ],
        csv_rows.datasets(study),
    )
    if any(classes.values()):
        write_csv(
            tables / "classes.csv",
            [
                "setting",
                "dataset",
                "class",
                "images",
                "positives",
                "prevalence",
                "method",
                *_ESTIMATE,
            ],
            csv_rows.classes(classes),
        )
    if personal := list(personal_rows(study)):
        write_csv(tables / "personal.csv", PERSONAL_COLUMNS, personal)
    if federations := list(federation_rows(study.federations)):
        write_csv(tables / "federations.csv", FEDERATION_COLUMNS, federations)
    write_csv(
        plots / "rounds.csv",
        [
            "setting",
            "method",
            "seed",
            "round",
            *curve_names(study.runs),
            "accuracy_lowest",
            "bytes_up",
            "bytes_down",
        ],
        csv_rows.rounds(study),
    )
    write_csv(
        plots / "scores.csv",
        ["setting", "method", "metric", "seed", "value"],
        csv_rows.scores(study),
    )
    write_json(out_dir / "metrics.json", _metrics(study), sort_keys=False)


def _metrics(study: Study) -> dict[str, Any]:
    """Return setting → method → headline metric → mean, what `dvc metrics diff` compares."""
    return {
        setting: {
            method: {
                metric.key: round(scores.table[method][metric.key].mean, 6)
                for metric in scores.protocol.metrics
            }
            for method in scores.methods
        }
        for setting, scores in study.scores.items()
    }
