"""Writes one projection to the store, so that exactly one run with its fingerprint tells it.

Runs are found by tag: mlflow chooses run ids itself and names need not be unique. A run that says
something else (parameters of mlflow runs cannot change, and a metric keeps its history) is deleted
and written anew; a run that only lacks something, as after live logging, is completed.
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
from fedmvp.tracking.store import CONTENT_TAG, FINGERPRINT_TAG

__all__ = ["Outcome", "find_run", "log_params", "start_run", "upsert"]

Outcome = Literal["created", "updated", "unchanged"]
Curves = Mapping[str, Mapping[int, float]]

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


def start_run(client: Any, experiment: str, name: str, tags: Mapping[str, str]) -> Any:
    """Create a run under an explicit name."""
    return client.create_run(experiment, run_name=name, tags=dict(tags))


def upsert(
    client: Any,
    experiment: str,
    projection: Projection,
    *,
    extras: Mapping[str, bytes],
    origin: Mapping[str, str],
) -> Outcome:
    """Bring the run of `projection` in line with it.

    Parameters
    ----------
    extras : mapping of artifact path to content
        Artifacts beside the projection's files.
    origin : mapping of str to str
        Tags of this moment (commit, versions); a run keeps those it was created with.
    """
    run = find_run(client, projection.fingerprint)
    if run is not None and run.data.tags.get(CONTENT_TAG) == projection.content:
        return "unchanged"
    curves = _curves(projection)
    logged: Curves = {}
    outcome: Outcome = "created" if run is None else "updated"
    if run is not None:
        logged = _histories(client, run)
        if _contradicts(run.data.params, logged, projection.params, curves):
            client.delete_run(run.info.run_id)
            run, logged = None, {}
    if run is None:
        tags = {**origin, FINGERPRINT_TAG: projection.fingerprint}
        run = start_run(client, experiment, projection.name, tags)
    run_id = run.info.run_id
    missing = {key: value for key, value in projection.params.items() if key not in run.data.params}
    _log(client, run_id, missing, _missing(curves, logged), projection.tags)
    if not run.inputs.dataset_inputs:
        _log_inputs(client, run_id, projection.inputs)
    _log_artifacts(client, run_id, projection.files, extras)
    client.set_terminated(run_id, status="FINISHED")
    # Last, so that an interrupted sync is taken up again.
    client.set_tag(run_id, CONTENT_TAG, projection.content)
    return outcome


def _curves(projection: Projection) -> dict[str, Mapping[int, float]]:
    final = {key: {projection.last_round: value} for key, value in projection.metrics.items()}
    return {**projection.series, **final}


def _histories(client: Any, run: Any) -> dict[str, dict[int, float]]:
    return {
        key: {m.step: m.value for m in client.get_metric_history(run.info.run_id, key)}
        for key in run.data.metrics
    }


def _contradicts(
    params: Mapping[str, str], logged: Curves, wanted_params: Mapping[str, str], wanted: Curves
) -> bool:
    """Tell whether a run holds anything the projection does not."""
    if any(wanted_params.get(key) != value for key, value in params.items()):
        return True
    return any(
        step not in wanted.get(key, {}) or not _same(wanted[key][step], value)
        for key, curve in logged.items()
        for step, value in curve.items()
    )


def _same(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b))


def _missing(wanted: Curves, logged: Curves) -> Iterator[tuple[str, int, float]]:
    for key, curve in wanted.items():
        for step, value in curve.items():
            if step not in logged.get(key, {}):
                yield key, step, value


def log_params(client: Any, run_id: str, params: Mapping[str, str]) -> None:
    """Log parameters, in batches the store takes."""
    from mlflow.entities import Param

    for part in _batches([Param(key, value) for key, value in params.items()], _MAX_PARAMS):
        client.log_batch(run_id, params=part)


def _log(
    client: Any,
    run_id: str,
    params: Mapping[str, str],
    points: Iterable[tuple[str, int, float]],
    tags: Mapping[str, str],
) -> None:
    """Log all of a run, in as few transactions as the store takes."""
    from mlflow.entities import Metric, Param, RunTag

    now_ms = int(time.time() * 1000)
    metrics = [Metric(key, value, now_ms, step) for key, step, value in points]
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


def _log_artifacts(
    client: Any, run_id: str, files: Mapping[str, Path], extras: Mapping[str, bytes]
) -> None:
    """Copy all artifacts in one go, through a folder laid out as the run shows them."""
    with tempfile.TemporaryDirectory(prefix="fedmvp-artifacts-") as name:
        folder = Path(name)
        for target, content in (*((t, s.read_bytes()) for t, s in files.items()), *extras.items()):
            place = folder / target
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        client.log_artifacts(run_id, folder)
