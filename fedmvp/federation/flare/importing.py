"""``fedmvp federation import``: copies a federation's files to where the pipeline keeps results.

They become a run like any other, in a setting named after the federation: MLflow, `predict` and
`export` read them as they read a run of the stage `train`, and the report has a section for them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fedmvp.clip.spec import BackboneSpec
from fedmvp.errors import ConfigError, DataError
from fedmvp.federation.flare.layout import Organiser
from fedmvp.federation.flare.outcome import FOLD, is_whole
from fedmvp.federation.plan import Plan
from fedmvp.files import read_json, sha256_file, write_bytes
from fedmvp.paths import BACKBONE, RESULTS
from fedmvp.results.explained import write_explained
from fedmvp.results.federations import read_counts
from fedmvp.results.files import COUNTS, FAILURES, RECORD, ROUNDS, WEIGHTS
from fedmvp.results.key import RunKey
from fedmvp.results.record import write_metrics, write_record
from fedmvp.results.targets import MULTI_TARGET_COLUMNS, TARGET_COLUMNS, write_targets

__all__ = ["import_results"]

_COPIED = (WEIGHTS, ROUNDS, FAILURES, COUNTS)


def import_results(organiser: Organiser, plan: Plan, results: Path = RESULTS) -> RunKey:
    """Write the run's folder, its record last.

    Returns
    -------
    RunKey
        ``federation_<name>``, the method and the seed.

    Raises
    ------
    ConfigError
        When the federation is not finished, no site sent its counts, or another federation of
        this name was imported before.
    """
    if not is_whole(organiser, plan):
        raise ConfigError(
            "is not finished",
            where=organiser.root,
            hint="let `fedmvp federation serve` finish first",
        )
    counts = read_counts(organiser.results)
    if not counts["metrics"]:
        raise ConfigError(
            "no site sent counts of its held-out images, so there is nothing to compare",
            where=organiser.results / COUNTS,
            hint="use the weights as they are: `fedmvp predict --weights`",
        )
    key = RunKey(f"federation_{plan.name}", plan.method, plan.seed)
    folder = key.folder(results)
    record = _record(organiser, plan, key)
    _require_own(folder / RECORD, record["fingerprint"])
    for name in _COPIED:
        write_bytes(folder / name, (organiser.results / name).read_bytes())
    columns = TARGET_COLUMNS if plan.multilabel is None else MULTI_TARGET_COLUMNS
    write_targets(folder, columns, _targets(counts, plan))
    write_explained(folder, [])
    write_metrics(folder, counts["metrics"])
    write_record(folder, record)
    return key


def _require_own(path: Path, fingerprint: str) -> None:
    """Refuse to overwrite another federation's run."""
    try:
        before = read_json(path) if path.is_file() else {}
    except DataError:
        return
    if before.get("fingerprint", fingerprint) != fingerprint:
        raise ConfigError(
            "another federation of this name was already imported",
            where=path.parent,
            hint="move that folder away first",
        )


def _record(organiser: Organiser, plan: Plan, key: RunKey) -> dict[str, Any]:
    own = read_json(organiser.results / RECORD)
    spec = BackboneSpec.model_validate(read_json(organiser.backbone / "spec.json"))
    backbone = {
        "name": spec.name,
        "pretrained": spec.pretrained,
        "weights": None,
        "precision": plan.backbone.precision,
        "linear": plan.backbone.linear,
    }
    return {
        "fingerprint": own["fingerprint"],
        "schema": own["schema"],
        "engine": own["engine"],
        "setting": key.setting,
        "method": key.method,
        "seed": key.seed,
        "params": {
            "engine": own["engine"],
            "sites": list(plan.clients),
            "backbone": backbone,
            "method": plan.params().resolved(),
            "federation": plan.resolved().model_dump(mode="json"),
            **_head(plan),
        },
        "inputs": {
            (BACKBONE / "spec.json").as_posix(): sha256_file(organiser.backbone / "spec.json"),
            organiser.plan.name: sha256_file(organiser.plan),
        },
    }


def _head(plan: Plan) -> dict[str, Any]:
    head = plan.multilabel
    return {} if head is None else {"multilabel": head.model_dump(mode="json")}


def _targets(counts: dict[str, Any], plan: Plan) -> list[dict[str, Any]]:
    """Return a row for each site and group; sites do not tell their number of classes."""
    many = {} if plan.multilabel is None else {"threshold": 0.5}
    return [
        {
            "fold": FOLD,
            "group": group,
            "name": f"{site} {group}",
            "dataset": site,
            "domain": "",
            "classes": 0,
            "images": score["images"],
            **score["numbers"],
            **many,
        }
        for site in plan.clients
        for group, score in counts["scores"].get(site, {}).items()
    ]
