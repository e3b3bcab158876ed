"""How the results were made, on the page: counts of a setting, params, and notes on training."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fedmvp.methods import method_title
from fedmvp.partition.model import Partition
from fedmvp.report.format import percent
from fedmvp.report.study import Study
from fedmvp.report.training import phases
from fedmvp.wording import count_text, plural

__all__ = ["parameters", "protocol_rows", "training_notes"]

_PERCENT = "\N{NO-BREAK SPACE}%"


def training_notes(study: Study, setting: str) -> list[str]:
    """Return a sentence per method that trains in phases, and per method that diverged."""
    notes = []
    for method in study.trained_in(setting):
        runs = study.runs_of(setting, method)
        if (found := phases(runs)) is not None:
            shares = ", ".join(
                f"{percent(share, 0)}{_PERCENT} {name}" for name, share in found.shares
            )
            notes.append(
                f"Phases of {method_title(method)}'s client updates: {shares};"
                f" {found.shares[-1][0]} from round {found.first_round} on."
            )
        lost = sum(row.loss is None for run in runs for row in run.rounds)
        if lost:
            notes.append(
                f"{method_title(method)}: {plural(lost, 'client update')} without a"
                " finite loss, left out of the curves."
            )
    return notes


def protocol_rows(partition: Partition) -> dict[str, Any]:
    """Return the counts of a setting: clients, data and targets; ranges are over clients."""
    clients, targets = partition.clients, partition.targets
    return {
        "folds": len(partition.folds),
        "clients": count_text(len(clients)),
        "datasets": len({c.dataset for c in clients}),
        "domains": len({c.domain for c in clients if c.domain}) or "mixed",
        "classes": _span([len(c.classes) for c in clients]),
        "images": _span([len(c.train) for c in clients]),
        "images_total": count_text(sum(len(c.train) for c in clients)),
        "targets": count_text(len(targets)),
        "target_images": count_text(sum(len(t.images) for t in targets)),
    }


def _span(values: Sequence[int]) -> str:
    if not values:
        return "—"
    low, high = count_text(min(values)), count_text(max(values))
    return low if low == high else f"{low}–{high}"


def parameters(study: Study) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the params of the runs: those all methods share, then those of each method."""
    flat: dict[str, dict[str, dict[str, None]]] = {}
    for run in study.runs:
        for key, value in _flatten(run.params):
            flat.setdefault(key, {}).setdefault(run.method, {})[value] = None
    values = {
        key: {method: " | ".join(found) for method, found in by_method.items()}
        for key, by_method in sorted(flat.items())
    }
    common = {
        key
        for key, by_method in values.items()
        if len(by_method) > 1 and len(set(by_method.values())) == 1
    }
    shared = [(key, next(iter(values[key].values()))) for key in sorted(common)]
    own = [
        (method_title(m), [(k, v[m]) for k, v in values.items() if k not in common and m in v])
        for m in study.methods
    ]
    return [(title, rows) for title, rows in [("Shared", shared), *own] if rows]


def _flatten(value: Any, prefix: str = "") -> Iterable[tuple[str, str]]:
    """Yield keys and values as params.yaml has them: ``null`` and ``true``, lists with commas."""
    if isinstance(value, Mapping):
        for key in sorted(value):
            yield from _flatten(value[key], f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, list):
        yield prefix, ", ".join(map(_scalar, value))
    else:
        yield prefix, _scalar(value)


def _scalar(value: object) -> str:
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)
