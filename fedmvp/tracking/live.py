"""Curves in MLflow while training runs, when FEDMVP_TRACKING=live.

The run is the one a later `sync` completes: same fingerprint, same values. A store that fails
costs the live view, never the training.
"""

from __future__ import annotations

import contextlib
import os
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedmvp.errors import ConfigError
from fedmvp.tracking.projection import flatten, round_series, run_name
from fedmvp.tracking.store import (
    FINGERPRINT_TAG,
    locked,
    open_client,
    open_experiment,
    tracking_uri,
)
from fedmvp.tracking.upsert import find_run, log_params, start_run

__all__ = ["LiveRun", "live_run"]

SWITCH = "FEDMVP_TRACKING"


@dataclass
class LiveRun:
    """Takes the rows of finished rounds; without a client it does nothing.

    Attributes
    ----------
    client : mlflow.MlflowClient or None
        None when live tracking is off, or was given up after an error.
    """

    root: Path
    client: Any | None = None
    run_id: str = ""
    _seen: set[tuple[str, int]] = field(default_factory=set)

    def log_round(self, fold: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Log the clients' rows of one round, as they will stand in rounds.csv.

        Parameters
        ----------
        fold : str
            Model the round belongs to.
        rows : sequence of mapping
            One per client; the columns of rounds.csv, `fold` apart.
        """
        if self.client is None:
            return
        cells = [
            {"fold": fold, **{key: "" if v is None else str(v) for key, v in row.items()}}
            for row in rows
        ]
        cells = [{**dict.fromkeys(_COLUMNS, ""), **row} for row in cells]
        # Curves over all folds are known only when the last fold is trained; sync adds them.
        suffix = f"/{fold}"
        points = {
            (key, step): value
            for key, curve in round_series(cells, Path("rounds.csv")).items()
            if key.endswith(suffix)
            for step, value in curve.items()
            if (key, step) not in self._seen
        }
        with self._forgiving():
            from mlflow.entities import Metric

            now_ms = int(time.time() * 1000)
            metrics = [Metric(key, value, now_ms, step) for (key, step), value in points.items()]
            with locked(self.root):
                self.client.log_batch(self.run_id, metrics=metrics)
            self._seen.update(points)

    def end(self, status: str) -> None:
        """Close the run as FINISHED, FAILED or KILLED."""
        if self.client is not None:
            with self._forgiving(), locked(self.root):
                self.client.set_terminated(self.run_id, status=status)

    @contextlib.contextmanager
    def _forgiving(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.client = None
            warnings.warn(
                f"live tracking ends here ({type(error).__name__}: {error}); training "
                "goes on, and `fedmvp track sync` completes the run",
                stacklevel=3,
            )


_COLUMNS = (
    "phase",
    "images",
    "loss",
    "loss_ce",
    "loss_con",
    "accuracy",
    "learning_rate",
    "bytes_up",
    "bytes_down",
)


@contextlib.contextmanager
def live_run(
    root: Path,
    *,
    profile: str,
    setting: str,
    method: str,
    seed: int,
    fingerprint: str,
    params: Mapping[str, Any],
) -> Iterator[LiveRun]:
    """Open the live view of one training, resuming the run an interrupted one left.

    Parameters
    ----------
    params : mapping
        As they will stand in run.json.

    Raises
    ------
    ConfigError
        When FEDMVP_TRACKING is neither ``off`` nor ``live``.
    """
    live = LiveRun(root)
    if _wanted():
        with live._forgiving(), locked(root):
            uri = tracking_uri(root)
            client = open_client(uri)
            run = find_run(client, fingerprint)
            if run is None:
                run = _start(
                    client,
                    open_experiment(client, uri, profile),
                    setting,
                    method,
                    seed,
                    fingerprint,
                    params,
                )
            client.update_run(run.info.run_id, status="RUNNING")
            live.client, live.run_id = client, run.info.run_id
            live._seen = {
                (key, point.step)
                for key in run.data.metrics
                for point in client.get_metric_history(live.run_id, key)
            }
    try:
        yield live
    except BaseException as error:
        live.end("FAILED" if isinstance(error, Exception) else "KILLED")
        raise
    live.end("FINISHED")


def _wanted() -> bool:
    value = os.environ.get(SWITCH, "off")
    if value not in ("off", "live"):
        raise ConfigError("unknown value", where=SWITCH, value=value, hint="use off or live")
    return value == "live"


def _start(
    client: Any,
    experiment: str,
    setting: str,
    method: str,
    seed: int,
    fingerprint: str,
    params: Mapping[str, Any],
) -> Any:
    run = start_run(
        client,
        experiment,
        run_name(setting, method, seed, fingerprint),
        {FINGERPRINT_TAG: fingerprint},
    )
    identity = {"setting": setting, "method": method, "seed": str(seed)}
    log_params(client, run.info.run_id, flatten({**params, **identity}))
    return run
