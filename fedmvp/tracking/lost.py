"""Live runs whose training disappeared, e.g. after a power cut: they end as KILLED.

A live run is tagged every few minutes with the time. Age alone decides, because the training may be
on another machine that shares the store.
"""

from __future__ import annotations

import datetime
from typing import Any

from fedmvp.tracking.store import SEEN_TAG, last_signs

__all__ = ["BEAT_S", "any_lost", "close_lost", "sign"]

BEAT_S = 120.0
_LOST_S = 15 * 60.0


def sign() -> str:
    """Return the present time in the form of a live run's tag."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def any_lost(uri: str) -> bool:
    """Tell whether `close_lost` has work; without mlflow, this is known only for a sqlite store."""
    return any(map(_too_old, last_signs(uri) or ()))


def close_lost(client: Any) -> list[str]:
    """End the runs to which nobody writes any more; return their names."""
    experiments = [e.experiment_id for e in client.search_experiments()]
    closed = []
    for run in client.search_runs(experiments, filter_string="attributes.status = 'RUNNING'"):
        seen = run.data.tags.get(SEEN_TAG, "")
        if _too_old(seen):
            ended = int(datetime.datetime.fromisoformat(seen).timestamp() * 1000)
            client.set_terminated(run.info.run_id, status="KILLED", end_time=ended)
            closed.append(str(run.info.run_name))
    return closed


def _too_old(seen: str) -> bool:
    try:
        then = datetime.datetime.fromisoformat(seen)
        age = datetime.datetime.now(datetime.UTC) - then
    except (ValueError, TypeError):  # a tag that this program did not write
        return False
    return age.total_seconds() > _LOST_S
