"""Rounds in MLflow while they are trained: a process beside a training, for FEDMVP_TRACKING=live.

``python -m fedmvp.tracking.live`` is started by the training (`pipeline.support.live`) and watches
the checkpoints it writes, so nothing here can change a result or delay it: this process imports
mlflow and waits for slow servers. It receives one line on stdin that says what is trained, and one
when training has ended; without the latter, training was killed. It prints at most one line, about
problems with the store.

A later `sync` completes the same run: it has the same fingerprint and the same values.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from fedmvp.config import load_params
from fedmvp.errors import FedMVPError, one_line
from fedmvp.results.key import RunKey, run_name
from fedmvp.tracking.finished import FinishedRounds
from fedmvp.tracking.lost import BEAT_S, sign
from fedmvp.tracking.origin import origin
from fedmvp.tracking.projection import flatten
from fedmvp.tracking.store import (
    CONTENT_TAG,
    FINGERPRINT_TAG,
    LIVE,
    LIVE_IN_PART,
    RECORDED_TAG,
    SECONDS_TAG,
    SEEN_TAG,
    locked,
    open_client,
    open_experiment,
    set_defaults,
    tracking_uri,
)
from fedmvp.tracking.upsert import Point, find_run, histories, log_all, now_ms, same

__all__ = ["Ending", "LiveRun", "Training", "follow"]

_POLL_S, _RETRY_S = 1.0, 30.0


@dataclass(frozen=True)
class Training:
    """A training to log.

    Attributes
    ----------
    scratch : str
        Folder of the checkpoints.
    params : mapping
        The parameters as run.json will have them.
    began_ms : int
        When this training began or was resumed.
    resumed : bool
        Whether it was resumed from checkpoints.
    """

    setting: str
    method: str
    seed: int
    fingerprint: str
    scratch: str
    folds: Sequence[str]
    params: Mapping[str, Any]
    began_ms: int
    resumed: bool


@dataclass
class Ending:
    """How and when training ended, once `happened`."""

    status: str = "KILLED"
    at_ms: int = 0
    happened: threading.Event = field(default_factory=threading.Event)

    def await_in(self, messages: TextIO) -> None:
        """Read the last message, or notice that its sender is gone."""
        with contextlib.suppress(OSError, ValueError):
            self.status, at_ms = messages.readline().split()
            self.at_ms = int(at_ms)
        self.at_ms = self.at_ms or now_ms()
        self.happened.set()


class LiveRun:
    """The run of one training; opened when first needed, and again after problems.

    A run that is already complete in the store is left alone, as training again gives the same
    rounds; one with other rounds belongs to another version of the code, and is replaced.
    """

    def __init__(self, root: Path, training: Training) -> None:
        self.root, self.training = root, training
        self._client: Any = None
        self._run_id = ""
        self._logged: dict[str, dict[int, float]] = {}
        self._whole = False
        self._before_s: float | None = None
        self._next_beat = 0.0

    def update(self, rounds: FinishedRounds, ending: Ending | None = None) -> None:
        """Log what is new; close the run if training ended."""
        points = rounds.new()
        if not (points or ending or time.monotonic() > self._next_beat):
            return
        with locked(self.root):
            if self._client is None:
                self._open()
            if any(self._differs(point) for point in points):
                self._client.delete_run(self._run_id)
                self._create(in_part=self.training.resumed)
                rounds.again()
                points = rounds.new()
            if not self._whole:
                missing = [p for p in points if p[1] not in self._logged.get(p[0], {})]
                log_all(self._client, self._run_id, {}, missing, self._tags(ending))
                if ending:
                    self._client.set_terminated(self._run_id, ending.status, ending.at_ms)
        for key, step, value in points:
            self._logged.setdefault(key, {})[step] = value
        self._next_beat = time.monotonic() + BEAT_S

    def drop(self) -> None:
        """Release the store after an error."""
        self._client = None

    def _open(self) -> None:
        client = open_client(tracking_uri(self.root))
        self._client = client
        run = find_run(client, self.training.fingerprint)
        try:
            if run is None:
                self._create(in_part=self.training.resumed)
                return
            self._run_id, self._whole = run.info.run_id, CONTENT_TAG in run.data.tags
            self._logged, _ = histories(client, run)
            if self._before_s is None:
                self._before_s = float(run.data.tags.get(SECONDS_TAG, 0))
            if not self._whole:
                client.update_run(self._run_id, status="RUNNING")
        except BaseException:
            self._client = None
            raise

    def _create(self, *, in_part: bool) -> None:
        training, client = self.training, self._client
        profile = load_params(self.root / "params.yaml").profile
        identity = {
            "setting": training.setting,
            "method": training.method,
            "seed": str(training.seed),
        }
        tags = {
            **origin(self.root),
            **identity,
            FINGERPRINT_TAG: training.fingerprint,
            RECORDED_TAG: LIVE_IN_PART if in_part else LIVE,
            SEEN_TAG: sign(),
        }
        key = RunKey(training.setting, training.method, training.seed)
        name = run_name(key, training.fingerprint)
        experiment = open_experiment(client, tracking_uri(self.root), profile)
        run = client.create_run(experiment, training.began_ms, tags, name)
        self._run_id, self._logged, self._whole, self._before_s = run.info.run_id, {}, False, 0.0
        log_all(client, self._run_id, flatten({**training.params, **identity}), [], {})

    def _differs(self, point: Point) -> bool:
        key, step, value = point
        logged = self._logged.get(key, {})
        return step in logged and not same(logged[step], value)

    def _tags(self, ending: Ending | None) -> dict[str, str]:
        until = ending.at_ms if ending else now_ms()
        seconds = (self._before_s or 0.0) + (until - self.training.began_ms) / 1000
        return {SEEN_TAG: sign(), SECONDS_TAG: f"{seconds:.1f}"}


def follow(
    root: Path,
    training: Training,
    ending: Ending,
    say: Callable[[str], object],
    *,
    poll_s: float = _POLL_S,
    retry_s: float = _RETRY_S,
) -> None:
    """Log rounds until training has ended; report the first problem with the store."""
    rounds = FinishedRounds(Path(training.scratch), training.folds)
    run = LiveRun(root, training)
    pause, troubled = 0.0, False
    while True:
        over = ending.happened.wait(pause)
        pause = poll_s
        try:
            run.update(rounds, ending if over else None)
        except Exception as error:
            # The server may come back, and the checkpoints keep what it missed.
            run.drop()
            rounds.again()
            pause = retry_s
            if not troubled:
                say(_reason(error))
            troubled = True
        if over:
            return


def _reason(error: Exception) -> str:
    """Describe an error; the message of one that is not ours may hold the store's password."""
    if not isinstance(error, FedMVPError):
        return type(error).__name__
    return one_line(error.what if error.value is None else f"{error.what}: {error.value}")


def main() -> None:
    """Follow the training that started this process."""
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C is meant for training, which reports its end
    if hasattr(os, "nice"):
        os.nice(10)
    # Training does not wait for this process, but the next stage does: try at most twice.
    set_defaults(MLFLOW_HTTP_REQUEST_MAX_RETRIES="1", MLFLOW_HTTP_REQUEST_TIMEOUT="10")
    channel = sys.stdout

    def say(line: str) -> None:
        with contextlib.suppress(OSError):
            print(line, file=channel, flush=True)

    with contextlib.redirect_stdout(sys.stderr):
        training = Training(**json.loads(sys.stdin.readline()))
        ending = Ending()
        threading.Thread(target=ending.await_in, args=(sys.stdin,), daemon=True).start()
        follow(Path(), training, ending, say)


if __name__ == "__main__":
    main()
