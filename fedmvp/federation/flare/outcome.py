"""The result files of a federation: those of a trained run, and the sites' counts."""

from __future__ import annotations

from typing import Any

import fedmvp
from fedmvp.errors import DataError
from fedmvp.federation.flare.layout import Organiser
from fedmvp.federation.plan import Plan
from fedmvp.federation.rounds import FederationResult
from fedmvp.federation.site_evaluation import Counts, SiteCounts, metrics_of
from fedmvp.files import read_json, sha256_json
from fedmvp.results.federations import write_counts
from fedmvp.results.files import RECORD
from fedmvp.results.record import write_record
from fedmvp.results.rounds import write_failures, write_rounds
from fedmvp.results.weights import round_name, tensor_name, write_weights

__all__ = ["FOLD", "is_whole", "write_results"]

FOLD = "all"
"""A federation has one fold: each site decides on its classes itself."""


def write_results(
    organiser: Organiser, plan: Plan, outcome: FederationResult, counts: SiteCounts
) -> None:
    """Write the result files; the run's record comes last, so where it exists all others do."""
    folder = organiser.results
    tensors = {tensor_name(FOLD, name): tensor for name, tensor in outcome.tensors.items()}
    for index, kept in outcome.earlier.items():
        tensors |= {round_name(index, tensor_name(FOLD, name)): t for name, t in kept.items()}
    write_weights(folder, tensors)
    rows = ({"fold": FOLD, **row} for row in outcome.rows)
    write_rounds(folder, rows, multi=plan.multilabel is not None)
    write_failures(folder, ({"fold": FOLD, **failure} for failure in outcome.failures))
    write_counts(folder, _counts(counts))
    write_record(folder, _record(plan))


def _counts(counts: SiteCounts) -> dict[str, Any]:
    return {
        "groups": counts.groups,
        "metrics": counts.metrics(),
        "sites": counts.sites,
        "scores": {
            site: {group: _score(entry) for group, entry in groups.items()}
            for site, groups in counts.sites.items()
        },
        "withheld": counts.withheld,
        "failures": [{"client": each.client, "error": each.error} for each in counts.failures],
    }


def _score(counts: Counts) -> dict[str, Any]:
    numbers = {end.lstrip("_") or "accuracy": value for end, value in metrics_of(counts).items()}
    return {"images": counts["total"][0], "numbers": numbers}


def _record(plan: Plan) -> dict[str, Any]:
    content = {
        "schema": 1,
        "engine": "flare",
        "package": fedmvp.__version__,
        "plan": plan.model_dump(mode="json"),
    }
    return {"fingerprint": sha256_json(content), **content}


def is_whole(organiser: Organiser, plan: Plan) -> bool:
    """Tell whether the results of this plan are complete."""
    try:
        return bool(read_json(organiser.results / RECORD) == _record(plan))
    except (OSError, DataError):
        return False
