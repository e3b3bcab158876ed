"""The metrics of a multi-label setting, computed from the rows of its targets.

``map`` and the other plain names are metrics of the global targets; ``<name>_local``,
``<name>_zsl`` and ``<name>_gzsl`` are those of the other groups; ``map_seen``, ``map_unseen`` and
``h`` are the two parts of the group ``gzsl`` and their harmonic mean. Each is a mean over datasets
(local ones first over a dataset's clients); ``<name>/<dataset>`` is the value of one dataset.
``prevalence`` is the ``map`` of a random order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from fedmvp.errors import DataError

__all__ = ["multilabel_summary"]

_GENERALISED = ("map_seen", "map_unseen", "h")
_SUFFIX = {"global": "", "local": "_local", "zsl": "_zsl", "gzsl": "_gzsl"}
_GLOBAL_ONLY = ("cp", "cr", "cf1", "cf1_hm", "op", "or")
_BEST_ON_TEST = ("of1_max", "cf1_max")
_EVERYWHERE = ("map", "prevalence", "of1", "of1_val", "of1_top3")


def multilabel_summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the metrics of a setting, each a fraction in [0, 1].

    Raises
    ------
    DataError
        When no target is of group global.
    """
    if not any(row["group"] == "global" for row in rows):
        raise DataError(
            "no target of group global",
            where="partition",
            hint="give the setting a target `{group: global, each: dataset, classes: seen}`",
        )
    metrics: dict[str, float] = {}
    for group, suffix in _SUFFIX.items():
        own = [row for row in rows if row["group"] == group]
        chosen = _BEST_ON_TEST if own and _BEST_ON_TEST[0] in own[0] else ()
        for name in (*_names(group), *chosen) if own else ():
            metrics |= _means(f"{name}{suffix}" if name not in _GENERALISED else name, name, own)
    return metrics


def _names(group: str) -> tuple[str, ...]:
    if group == "global":
        thresholds = tuple(f"{name}{end}" for name in _GLOBAL_ONLY for end in ("", "_val"))
        return (*_EVERYWHERE, "of1_top5", *thresholds)
    return (*_EVERYWHERE, *_GENERALISED) if group == "gzsl" else _EVERYWHERE


def _means(key: str, name: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the mean of a column over datasets, and of each dataset."""
    of_dataset: dict[str, list[float]] = {}
    for row in rows:
        value = float(row.get(name, "nan"))
        if value == value:  # NaN: a client's few test images may show none of the classes
            of_dataset.setdefault(str(row["dataset"]), []).append(value)
    means = {dataset: fmean(values) for dataset, values in sorted(of_dataset.items())}
    if not means:
        return {}
    return {key: fmean(means.values())} | {f"{key}/{d}": value for d, value in means.items()}
