"""From accuracies of targets to the metrics of a setting (docs/method.md#metrics).

Every metric is a fraction in [0, 1]; higher is better. Base-to-new has ``local``, ``base``, ``new``
and their three-way harmonic mean ``hm``; transfer settings have ``mean`` and one entry per target;
``<metric>/<dataset>`` is the value for one dataset.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from fedmvp.errors import DataError
from fedmvp.evaluation.multilabel_summary import multilabel_summary
from fedmvp.partition.setting_spec import NOT_TRANSFERRED

__all__ = ["base_to_new_metrics", "harmonic_mean", "metrics_of", "transfer_metrics"]

_BASE_TO_NEW = ("local", "base", "new")


def harmonic_mean(values: Sequence[float]) -> float:
    """Return n / Σ 1/v, and 0 if any value is 0.

    Examples
    --------
    >>> round(harmonic_mean([0.8189, 0.7537, 0.7782]), 4)   # FedMVP's published row
    0.7827
    """
    return 0.0 if min(values) <= 0 else len(values) / sum(1 / value for value in values)


def _grouped(rows: Iterable[Mapping[str, Any]], *keys: str) -> dict[tuple[str, ...], list[float]]:
    groups: dict[tuple[str, ...], list[float]] = {}
    for row in rows:
        groups.setdefault(tuple(str(row[key]) for key in keys), []).append(float(row["accuracy"]))
    return groups


def base_to_new_metrics(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return local, base, new and hm, over all datasets and per dataset.

    Local is a mean over a dataset's clients first, then over datasets.
    """
    means = {key: fmean(values) for key, values in _grouped(rows, "group", "dataset").items()}
    datasets = sorted({dataset for _, dataset in means})
    metrics: dict[str, float] = {}
    for group in _BASE_TO_NEW:
        values = {name: means[group, name] for name in datasets if (group, name) in means}
        if not values:
            raise DataError(
                f"no target of group {group}",
                where="partition",
                hint="give the setting local, base and new targets",
            )
        metrics[group] = fmean(values.values())
        metrics |= {f"{group}/{name}": value for name, value in values.items()}
    metrics["hm"] = harmonic_mean([metrics[group] for group in _BASE_TO_NEW])
    for name in datasets:
        parts = [metrics.get(f"{group}/{name}") for group in _BASE_TO_NEW]
        known = [value for value in parts if value is not None]
        if len(known) == len(_BASE_TO_NEW):
            metrics[f"hm/{name}"] = harmonic_mean(known)
    return metrics


def transfer_metrics(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return each target's accuracy and their mean.

    A target with several datasets counts as the mean over them. Targets of group ``source``, which
    were trained on, are listed but not in the mean, as in the published tables. The same holds for
    the clients' own images, group ``local``; ``local`` is their mean over clients, then datasets.
    """
    local = [row for row in rows if row["group"] == "local"]  # its names are clients
    others = [row for row in rows if row["group"] != "local"]
    per_dataset = {key: fmean(v) for key, v in _grouped(others, "group", "name", "dataset").items()}
    metrics: dict[str, float] = {}
    targets: dict[str, float] = {}
    for group, name in sorted({(group, name) for group, name, _ in per_dataset}):
        parts = {d: v for (g, n, d), v in per_dataset.items() if (g, n) == (group, name)}
        value = fmean(parts.values())
        if name in metrics:
            raise DataError(
                "two targets share a name",
                where="partition",
                value=name,
                hint="rename one of them in the setting",
            )
        metrics[name] = value
        if len(parts) > 1:
            metrics |= {f"{name}/{dataset}": part for dataset, part in parts.items()}
        if group not in NOT_TRANSFERRED:
            targets[name] = value
    metrics["mean"] = fmean(targets.values())
    if local:
        metrics["local"] = fmean(fmean(v) for v in _grouped(local, "dataset").values())
    return metrics


PROTOCOLS = {
    "base_to_new": base_to_new_metrics,
    "transfer": transfer_metrics,
    "multilabel": multilabel_summary,
}


def metrics_of(
    protocol: str, rows: Sequence[Mapping[str, Any]], official: Collection[str] = ()
) -> dict[str, float]:
    """Return the metrics of a setting's protocol, sorted by name.

    Parameters
    ----------
    official : collection of str
        Folds of the paper's public code; ``mean/official`` is the mean over their targets.
    """
    metrics = PROTOCOLS[protocol](rows)
    if official:
        chosen = [row for row in rows if row["fold"] in official]
        metrics["mean/official"] = transfer_metrics(chosen)["mean"]
    return dict(sorted(metrics.items()))
