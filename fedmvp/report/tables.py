"""The tables and plot data as files: fractions and bytes, fixed decimals, sorted as on the page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedmvp.csv_files import write_csv
from fedmvp.files import write_json
from fedmvp.report.class_scores import ClassScore
from fedmvp.report.comparisons import Comparisons
from fedmvp.report.estimates import Estimate, estimate
from fedmvp.report.federations import FEDERATION_COLUMNS, federation_rows
from fedmvp.report.format import fixed
from fedmvp.report.personal import PERSONAL_COLUMNS, personal_rows
from fedmvp.report.protocols import split_metric
from fedmvp.report.study import Study
from fedmvp.report.training import curve_names, summarise, traffic
from fedmvp.results.targets import TargetScore

__all__ = ["TargetRow", "target_rows", "write_tables"]

Rows = Iterable[dict[str, Any]]
_ESTIMATE = ("mean", "std", "seeds")


@dataclass(frozen=True)
class TargetRow:
    """A group of test images and every method's score on it."""

    target: TargetScore
    by_method: dict[str, Estimate]


def target_rows(study: Study, setting: str) -> tuple[TargetRow, ...]:
    """Return the rows of targets.csv estimated over seeds, in file order."""
    values: dict[tuple[str, ...], dict[str, list[float]]] = {}
    first: dict[tuple[str, ...], TargetScore] = {}
    for method in study.scores[setting].methods:
        for run in study.runs_of(setting, method):
            for score in run.targets:
                key = (score.fold, score.group, score.name, score.dataset, score.domain)
                first.setdefault(key, score)
                values.setdefault(key, {}).setdefault(method, []).append(score.accuracy)
    return tuple(
        TargetRow(first[key], {method: estimate(v) for method, v in by_method.items()})
        for key, by_method in values.items()
    )


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
    write_csv(tables / "summary.csv", ["setting", "method", "metric", *_ESTIMATE], _summary(study))
    write_csv(
        tables / "per_dataset.csv",
        ["setting", "method", "metric", "part", *_ESTIMATE],
        _per_dataset(study),
    )
    write_csv(
        tables / "ranking.csv",
        ["setting", "metric", "method", "rank", "methods", "mean"],
        _ranking(study),
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
        _intervals(comparisons),
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
        _targets(study),
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
        _communication(study),
    )
    write_csv(
        tables / "provenance.csv",
        ["setting", "method", "seed", "file", "sha256", "fingerprint"],
        _provenance(study),
    )
    write_csv(
        tables / "published.csv",
        ["setting", "source", "title", "method", "evidence", "metric", "value"],
        _published(study),
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
        _datasets(study),
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
            _classes(classes),
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
        _rounds(study),
    )
    write_csv(
        plots / "scores.csv", ["setting", "method", "metric", "seed", "value"], _scores(study)
    )
    write_json(out_dir / "metrics.json", _metrics(study), sort_keys=False)


def _datasets(study: Study) -> Rows:
    for row in study.subject.data:
        yield {
            "dataset": row.name,
            "title": row.title,
            "classes": row.classes,
            "domains": row.domains,
            **row.splits,
            "split": row.split_kind,
            "split_detail": row.split_detail,
            "subset": row.subset,
        }


def _cells(value: Estimate) -> dict[str, Any]:
    return {"mean": fixed(value.mean), "std": fixed(value.std), "seeds": value.seeds}


def _summary(study: Study) -> Rows:
    for setting, scores in study.scores.items():
        for method in scores.methods:
            for metric in scores.protocol.metrics:
                yield {
                    "setting": setting,
                    "method": method,
                    "metric": metric.key,
                    **_cells(scores.table[method][metric.key]),
                }


def _per_dataset(study: Study) -> Rows:
    for setting, scores in study.scores.items():
        headline = {metric.key for metric in scores.protocol.metrics}
        for method in scores.methods:
            keys = scores.table[method]
            for key in keys:
                if key not in headline:
                    metric, part = split_metric(key, keys)
                    yield {
                        "setting": setting,
                        "method": method,
                        "metric": metric or "accuracy",
                        "part": part,
                        **_cells(keys[key]),
                    }


def _ranking(study: Study) -> Rows:
    for setting, ranks in study.ranks.items():
        scores = study.scores[setting]
        for method in sorted(scores.methods, key=lambda m: (ranks[m], m)):
            yield {
                "setting": setting,
                "metric": scores.protocol.primary,
                "method": method,
                "rank": fixed(ranks[method], 1),
                "methods": len(ranks),
                "mean": fixed(scores.primary(method).mean),
            }


def _intervals(comparisons: Comparisons) -> Rows:
    for found in comparisons.values():
        interval = found.interval
        yield {
            "setting": found.setting,
            "metric": found.metric,
            "method": found.method,
            "reference": found.reference,
            "difference": fixed(found.difference),
            "low": fixed(interval.low if interval else None),
            "high": fixed(interval.high if interval else None),
            "kind": interval.kind if interval else "",
            "wins": found.wins,
            "seeds": found.seeds,
        }


def _targets(study: Study) -> Rows:
    for setting in study.scores:
        for row in target_rows(study, setting):
            target = row.target
            for method, value in row.by_method.items():
                yield {
                    "setting": setting,
                    "fold": target.fold,
                    "group": target.group,
                    "name": target.name,
                    "dataset": target.dataset,
                    "domain": target.domain,
                    "classes": target.classes,
                    "images": target.images,
                    "method": method,
                    **_cells(value),
                }


def _classes(classes: Mapping[str, Sequence[ClassScore]]) -> Rows:
    for setting, rows in classes.items():
        for row in rows:
            for method, value in row.precisions.items():
                yield {
                    "setting": setting,
                    "dataset": row.dataset,
                    "class": row.class_name,
                    "images": row.images,
                    "positives": row.positives,
                    "prevalence": fixed(row.prevalence),
                    "method": method,
                    **_cells(value),
                }


def _communication(study: Study) -> Rows:
    for setting in study.scores:
        for method in study.trained_in(setting):
            t = traffic(study.runs_of(setting, method))
            yield {
                "setting": setting,
                "method": method,
                "rounds": t.rounds,
                "clients_per_round": fixed(t.clients, 2),
                "up_per_client": fixed(t.up_client, 0),
                "down_per_client": fixed(t.down_client, 0),
                "up_per_round": fixed(t.up_round, 0),
                "down_per_round": fixed(t.down_round, 0),
                "up_total": fixed(t.up_total, 0),
                "down_total": fixed(t.down_total, 0),
            }


def _provenance(study: Study) -> Rows:
    for run in study.runs:
        yield {
            "setting": run.setting,
            "method": run.method,
            "seed": run.seed,
            "file": run.metrics_path,
            "sha256": run.metrics_sha256,
            "fingerprint": run.fingerprint,
        }


def _published(study: Study) -> Rows:
    for setting, tables in study.published.items():
        for table in tables:
            for row in table.rows:
                for metric, number in row.values.items():
                    yield {
                        "setting": setting,
                        "source": table.source,
                        "title": row.title,
                        "method": row.method,
                        "evidence": row.evidence,
                        "metric": metric,
                        "value": fixed(number.value),
                    }


def _rounds(study: Study) -> Rows:
    names = curve_names(study.runs)
    for run in study.runs:
        for number, summary in summarise(run).items():
            yield {
                "setting": run.setting,
                "method": run.method,
                "seed": run.seed,
                "round": number,
                **{name: fixed(summary.means[name]) for name in names},
                "accuracy_lowest": fixed(summary.lowest),
                "bytes_up": summary.bytes_up,
                "bytes_down": summary.bytes_down,
            }


def _scores(study: Study) -> Rows:
    for run in study.runs:
        for metric in study.scores[run.setting].protocol.metrics:
            yield {
                "setting": run.setting,
                "method": run.method,
                "metric": metric.key,
                "seed": run.seed,
                "value": fixed(run.metrics[metric.key]),
            }


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
