"""FEDMVP_TRACKING=live: a separate process logs rounds to MLflow while a stage trains.

That process reads the checkpoints (`fedmvp.tracking.live`). This module only starts it and tells it
when training ends, so tracking is not part of the code on which a result depends, and importing
mlflow, which takes seconds and 200 MB, costs only another core's time.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from fedmvp.errors import ConfigError

__all__ = ["live_view", "live_wanted"]

_SWITCH = "FEDMVP_TRACKING"
# How long the end of training waits until the store has recorded it.
_PATIENCE_S = {"FINISHED": 30.0, "FAILED": 10.0, "KILLED": 10.0}


def live_wanted() -> bool:
    """Return whether FEDMVP_TRACKING asks for it.

    Raises
    ------
    ConfigError
        When it is neither empty nor ``off`` nor ``live``.
    """
    value = os.environ.get(_SWITCH) or "off"
    if value not in ("off", "live"):
        raise ConfigError("unknown value", where=_SWITCH, value=value, hint="use off or live")
    return value == "live"


@contextlib.contextmanager
def live_view(
    identity: Mapping[str, Any], folds: Iterable[str], scratch: Path, *, wanted: bool
) -> Iterator[None]:
    """Show a training in MLflow while the context is open; any trouble is one line on stderr.

    Parameters
    ----------
    identity : mapping
        What will be run.json.
    scratch : Path
        Folder of the training's checkpoints, a folder for each of `folds` in it.
    """
    if not wanted:
        yield
        return
    training = {
        key: identity[key] for key in ("setting", "method", "seed", "fingerprint", "params")
    }
    training |= {
        "scratch": str(scratch),
        "folds": list(folds),
        "began_ms": _now_ms(),
        "resumed": any(scratch.glob("*/round-*")),
    }
    watcher = _Watcher(training)
    status = "KILLED"
    try:
        yield
        status = "FINISHED"
    except Exception:
        status = "FAILED"
        raise
    finally:
        watcher.end(status)


class _Watcher:
    """The process that shows a training."""

    def __init__(self, training: Mapping[str, Any]) -> None:
        self.warned = self.ended = False
        self.process: subprocess.Popen[str] | None = None
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "fedmvp.tracking.live"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                encoding="utf-8",
            )
        except OSError as error:
            self._warn(error.strerror or type(error).__name__)
            return
        self.relay = threading.Thread(target=self._relay, args=(self.process,), daemon=True)
        self.relay.start()
        self._tell(self.process, json.dumps(training))

    def end(self, status: str) -> None:
        """Report that training has ended; wait for the store, but only for a limited time."""
        if self.process is None:
            return
        self.ended = True
        self._tell(self.process, f"{status} {_now_ms()}")
        patience_s = 5.0 if self.warned else _PATIENCE_S[status]
        try:
            self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self._warn(f"no answer for {patience_s:.0f} s")
        finally:
            self.process.kill()
            self.process.wait()
            self.relay.join(timeout=1)
            for pipe in (self.process.stdin, self.process.stdout):
                with contextlib.suppress(OSError):
                    pipe.close()  # type: ignore[union-attr]

    def _tell(self, process: subprocess.Popen[str], line: str) -> None:
        with contextlib.suppress(OSError):  # it has ended, which `_relay` reports
            print(line, file=process.stdin, flush=True)

    def _relay(self, process: subprocess.Popen[str]) -> None:
        for line in process.stdout or ():
            self._warn(line.strip())
        code = process.wait()
        if code and not self.ended:
            self._warn(f"its process ended with exit code {code}")

    def _warn(self, reason: str) -> None:
        """Print the first reason."""
        if not self.warned:
            self.warned = True
            print(
                f"warning: MLflow does not show this training live ({reason}); training "
                "continues, and `fedmvp track sync` completes the run",
                file=sys.stderr,
                flush=True,
            )


def _now_ms() -> int:
    return int(time.time() * 1000)
