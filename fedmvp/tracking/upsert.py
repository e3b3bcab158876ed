"""Writes one projection to the store, so that exactly one run with its fingerprint matches it.

Runs are found by tag: mlflow chooses run ids itself and names need not be unique. A run that
differs (parameters of mlflow runs cannot change, and a metric keeps its history) is deleted and
written again; a run that only lacks something, as after live logging, is completed.

A run's start and end are those of training, which only a live run knows. One made from files starts
and ends when it is made, and its tag says so.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal, TypeVar

from fedmvp.tracking.projection import Projection
from fedmvp.tracking.store import (
    ARTIFACTS_TAG,
    CONTENT_TAG,
    FILES,
    FINGERPRINT_TAG,
    LIVE,
    LIVE_IN_PART,
    RECORDED_TAG,
    SECONDS_TAG,
)

__all__ = [
    "Outcome",
    "Point",
    "contradicts",
    "find_run",
    "histories",
    "log_all",
    "now_ms",
    "same",
    "upsert",
]

Outcome = Literal["created", "updated", "unchanged"]
Curves = Mapping[str, Mapping[int, float]]
Point = tuple[str, int, float]
"""Key, step, value."""

# The store's limits on one batch (1,000 entries in all) and on a data set's digest.
_MAX_METRICS, _MAX_PARAMS, _MAX_TAGS, _MAX_DIGEST = 800, 100, 100, 36
_T = TypeVar("_T")


def find_run(client: Any, fingerprint: str) -> Any | None:
    """Return the active run with this fingerprint, None if there is none.

    Any experiment counts, for the same result may belong to two profiles. Of several runs, which
    only a writer without the lock can leave behind, the oldest stays and the others are deleted.
    """
    experiments = [e.experiment_id for e in client.search_experiments()]
    found = client.search_runs(
        experiments,
        filter_string=f"tags.`{FINGERPRINT_TAG}` = '{fingerprint}'",
        order_by=["attributes.start_time ASC"],
    )
    for surplus in found[1:]:
        client.delete_run(surplus.info.run_id)
    return found[0] if found else None


def now_ms() -> int:
    """Return the time as mlflow writes it."""
    return int(time.time() * 1000)


def upsert(
    client: Any,
    experiment: str,
    projection: Projection,
    *,
    extras: Mapping[str, bytes],
    origin: Mapping[str, str],
) -> Outcome:
    """Create or update the run of `projection`.

    Parameters
    ----------
    extras : mapping of artifact path to content
        Artifacts beside the projection's files.
    origin : mapping of str to str
        Tags of this moment (commit, versions); a run keeps those it was created with.
    """
    run = find_run(client, projection.fingerprint)
    if run is not None and _same_content(client, run, projection):
        return "unchanged"
    curves = _curves(projection)
    logged: Curves = {}
    outcome: Outcome = "created" if run is None else "updated"
    started = ended = now_ms()
    made = {RECORDED_TAG: FILES}
    if run is not None:
        logged, last = histories(client, run)
        if _trained(run, logged, projection, curves):
            started, made = run.info.start_time, _live_tags(run)
            ended = run.info.end_time or last or started
        if contradicts(run.data.params, logged, projection.params, curves):
            client.delete_run(run.info.run_id)
            run, logged = None, {}
        elif made[RECORDED_TAG] == FILES:
            ended = run.info.start_time
    if run is None:
        tags = {**origin, FINGERPRINT_TAG: projection.fingerprint}
        run = client.create_run(experiment, started, tags, projection.name)
    run_id = run.info.run_id
    missing = {key: value for key, value in projection.params.items() if key not in run.data.params}
    made[ARTIFACTS_TAG] = str(len({**projection.files, **extras}))
    log_all(client, run_id, missing, _missing(curves, logged), {**projection.tags, **made})
    if not run.inputs.dataset_inputs:
        _log_inputs(client, run_id, projection.inputs)
    _log_artifacts(client.artifacts(run), projection.files, extras)
    client.set_terminated(run_id, status="FINISHED", end_time=ended)
    # Last, so that an interrupted sync is repeated.
    client.set_tag(run_id, CONTENT_TAG, projection.content)
    return outcome


def _same_content(client: Any, run: Any, projection: Projection) -> bool:
    """Tell whether a run was made from equal files and has all its artifacts."""
    tags = run.data.tags
    if tags.get(CONTENT_TAG) != projection.content:
        return False
    return _count(client.artifacts(run)) >= max(1, int(tags.get(ARTIFACTS_TAG, 0)))


def _count(artifacts: Any, folder: str | None = None) -> int:
    """Return the number of files among a run's artifacts."""
    return sum(
        _count(artifacts, item.path) if item.is_dir else 1
        for item in artifacts.list_artifacts(folder)
    )


def _trained(run: Any, logged: Curves, projection: Projection, curves: Curves) -> bool:
    """Tell whether a run watched the training of this result, whatever was evaluated since."""
    training = {key: curve for key, curve in logged.items() if key in projection.series}
    return run.data.tags.get(RECORDED_TAG, FILES) != FILES and not contradicts(
        run.data.params, training, projection.params, curves
    )


def _live_tags(run: Any) -> dict[str, str]:
    tags = run.data.tags
    whole = tags[RECORDED_TAG] == LIVE and run.info.status == "FINISHED"
    kept = {SECONDS_TAG: tags[SECONDS_TAG]} if SECONDS_TAG in tags else {}
    return {**kept, RECORDED_TAG: LIVE if whole else LIVE_IN_PART}


def _curves(projection: Projection) -> dict[str, Mapping[int, float]]:
    final = {key: {projection.last_round: value} for key, value in projection.metrics.items()}
    return {**projection.series, **final}


def histories(client: Any, run: Any) -> tuple[dict[str, dict[int, float]], int]:
    """Return all points of a run, and when the last was logged, in ms; 0 where there is none."""
    points = {key: client.get_metric_history(run.info.run_id, key) for key in run.data.metrics}
    curves = {key: {m.step: m.value for m in history} for key, history in points.items()}
    return curves, max((m.timestamp for history in points.values() for m in history), default=0)


def contradicts(
    params: Mapping[str, str], logged: Curves, wanted_params: Mapping[str, str], wanted: Curves
) -> bool:
    """Tell whether a run has anything that the projection does not."""
    if any(wanted_params.get(key) != value for key, value in params.items()):
        return True
    return any(
        step not in wanted.get(key, {}) or not same(wanted[key][step], value)
        for key, curve in logged.items()
        for step, value in curve.items()
    )


def same(a: float, b: float) -> bool:
    """Tell whether two points agree; NaN agrees with NaN."""
    return a == b or (math.isnan(a) and math.isnan(b))


def _missing(wanted: Curves, logged: Curves) -> Iterator[Point]:
    for key, curve in wanted.items():
        for step, value in curve.items():
            if step not in logged.get(key, {}):
                yield key, step, value


def log_all(
    client: Any,
    run_id: str,
    params: Mapping[str, str],
    points: Iterable[Point],
    tags: Mapping[str, str],
) -> None:
    """Log all of a run, in as few transactions as the store takes."""
    from mlflow.entities import Metric, Param, RunTag

    now = now_ms()
    metrics = [Metric(key, value, now, step) for key, step, value in points]
    for some_metrics, some_params, some_tags in zip_longest(
        _batches(metrics, _MAX_METRICS),
        _batches([Param(key, value) for key, value in params.items()], _MAX_PARAMS),
        _batches([RunTag(key, value) for key, value in tags.items()], _MAX_TAGS),
        fillvalue=(),
    ):
        client.log_batch(run_id, metrics=some_metrics, params=some_params, tags=some_tags)


def _batches(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _log_inputs(client: Any, run_id: str, inputs: Mapping[str, str]) -> None:
    """List the input files with our own digests: mlflow's see a table's first rows only."""
    from mlflow.entities import Dataset, DatasetInput

    datasets = [
        DatasetInput(
            Dataset(name=path, digest=sha256[:_MAX_DIGEST], source_type="local", source=path)
        )
        for path, sha256 in inputs.items()
    ]
    if datasets:
        client.log_inputs(run_id, datasets)


def _log_artifacts(artifacts: Any, files: Mapping[str, Path], extras: Mapping[str, bytes]) -> None:
    """Copy all artifacts in one go, through a folder laid out as the run shows them."""
    with tempfile.TemporaryDirectory(prefix="fedmvp-artifacts-") as name:
        folder = Path(name)
        for target, content in (*((t, s.read_bytes()) for t, s in files.items()), *extras.items()):
            place = folder / target
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        artifacts.log_artifacts(str(folder))
