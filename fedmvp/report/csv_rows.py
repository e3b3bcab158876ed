"""The rows of the report's CSV files: fractions and bytes, fixed decimals, in the page's order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fedmvp.report.class_scores import ClassScore
from fedmvp.report.comparisons import Comparisons
from fedmvp.report.estimates import Estimate
from fedmvp.report.format import fixed
from fedmvp.report.protocols import split_metric
from fedmvp.report.study import Study
from fedmvp.report.targets import target_rows
from fedmvp.report.training import curve_names, summarise, traffic

__all__ = [
    "classes",
    "communication",
    "datasets",
    "intervals",
    "per_dataset",
    "provenance",
    "published",
    "ranking",
    "rounds",
    "scores",
    "summary",
    "targets",
]

Rows = Iterable[dict[str, Any]]


def datasets(study: Study) -> Rows:
    """Yield the rows of datasets.csv: each dataset with its sizes and its split."""
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


def summary(study: Study) -> Rows:
    """Yield the rows of summary.csv: each headline metric of each method."""
    for setting, scores in study.scores.items():
        for method in scores.methods:
            for metric in scores.protocol.metrics:
                yield {
                    "setting": setting,
                    "method": method,
                    "metric": metric.key,
                    **_cells(scores.table[method][metric.key]),
                }


def per_dataset(study: Study) -> Rows:
    """Yield the rows of per_dataset.csv: each other metric of a method, by the part it is of."""
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


def ranking(study: Study) -> Rows:
    """Yield the rows of ranking.csv: each method, best first."""
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


def intervals(comparisons: Comparisons) -> Rows:
    """Yield the rows of intervals.csv: each comparison; empty ends: it has no interval."""
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


def targets(study: Study) -> Rows:
    """Yield the rows of targets.csv: each group of test images and method."""
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


def classes(classes: Mapping[str, Sequence[ClassScore]]) -> Rows:
    """Yield the rows of classes.csv: each class of each target and method."""
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


def communication(study: Study) -> Rows:
    """Yield the rows of communication.csv: each trained method, in bytes."""
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


def provenance(study: Study) -> Rows:
    """Yield the rows of provenance.csv: each run and the file its numbers are from."""
    for run in study.runs:
        yield {
            "setting": run.setting,
            "method": run.method,
            "seed": run.seed,
            "file": run.metrics_path,
            "sha256": run.metrics_sha256,
            "fingerprint": run.fingerprint,
        }


def published(study: Study) -> Rows:
    """Yield the rows of published.csv: each number from the literature."""
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


def rounds(study: Study) -> Rows:
    """Yield the rows of rounds.csv: each round of a run, over its client updates."""
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


def scores(study: Study) -> Rows:
    """Yield the rows of scores.csv: each run's headline metrics."""
    for run in study.runs:
        for metric in study.scores[run.setting].protocol.metrics:
            yield {
                "setting": run.setting,
                "method": run.method,
                "metric": metric.key,
                "seed": run.seed,
                "value": fixed(run.metrics[metric.key]),
            }
