"""The store beside the files it is a projection of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fedmvp.results.key import result_folders
from fedmvp.tracking.projection import project
from fedmvp.tracking.store import CONTENT_TAG, FINGERPRINT_TAG


def active(client: Any) -> list[Any]:
    ids = [e.experiment_id for e in client.search_experiments()]
    return list(client.search_runs(ids))


def assert_equal_to_files(client: Any, root: Path) -> None:
    """Every result has exactly one run, with its params, metrics and curves, and no other."""
    runs = {run.data.tags[FINGERPRINT_TAG]: run for run in active(client)}
    assert len(runs) == len(active(client))
    for projection in map(project, result_folders(root / "results")):
        run = runs[projection.fingerprint]
        assert run.data.params == dict(projection.params)
        wanted = {key: {projection.last_round: v} for key, v in projection.metrics.items()}
        wanted |= {key: dict(curve) for key, curve in projection.series.items()}
        assert set(run.data.metrics) == set(wanted)
        for key, curve in wanted.items():
            history = client.get_metric_history(run.info.run_id, key)
            assert [(m.step, m.value) for m in history] == list(curve.items())
        assert run.info.status == "FINISHED"
        assert run.info.run_name == projection.name
        assert run.data.tags[CONTENT_TAG] == projection.content
