"""Workers on this machine: a process for each place, which reproduces stages in this checkout."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.cluster.outcome import Outcome
from pipeline.cluster.places import Place
from pipeline.cluster.worker import Order

__all__ = ["LocalWorkers"]

_END_S = 10.0


class LocalWorkers:
    """The processes of this machine's places; each is started when its place is first used.

    Parameters
    ----------
    root : Path
        The checkout.
    trials : mapping of str to mapping, optional
        Entries of params.yaml by trial name, where `start` is given trials instead of stages.
    """

    def __init__(
        self,
        root: Path,
        places: Sequence[Place],
        trials: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self._trials = {} if trials is None else trials
        self._places = list(places)
        self._root = root
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._busy: dict[int, Place] = {}
        self._selector = selectors.DefaultSelector()

    @property
    def places(self) -> list[Place]:
        """The places of this machine."""
        return self._places

    def may_get_places(self) -> bool:
        """Return False: this machine gets no more places."""
        return False

    def start(self, place: Place, stage: str, log: Path) -> None:
        """Start a stage on a free place."""
        process = self._processes.get(place.name)
        if process is None or process.poll() is not None:
            process = self._processes[place.name] = self._open(place)
        assert process.stdin is not None
        assert process.stdout is not None
        self._busy[process.stdout.fileno()] = place
        self._selector.register(process.stdout, selectors.EVENT_READ)
        order = Order(stage=stage, log=str(log), trial=self._trials.get(stage))
        with contextlib.suppress(BrokenPipeError):  # it died; `wait` finds its output closed
            process.stdin.write(f"{order.model_dump_json()}\n".encode())
            process.stdin.flush()

    def wait(self, seconds: float) -> list[tuple[Place, Outcome]]:
        """Return the attempts that have ended, waiting at most `seconds` for the first."""
        ended = []
        for key, _ in self._selector.select(seconds):
            self._selector.unregister(key.fileobj)
            place = self._busy.pop(key.fd)
            line = self._processes[place.name].stdout.readline()  # type: ignore[union-attr]
            if line.endswith(b"\n"):
                ended.append((place, Outcome.model_validate_json(line)))
            else:
                code = self._kill(place)
                message = f"its worker ended with exit code {code}"
                ended.append((place, Outcome(kind="died", message=message)))
        return ended

    def stop(self, number: int) -> None:
        """Send a signal to the running stages; `wait` returns how they end."""
        for place in self._busy.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._processes[place.name].pid, number)

    def close(self) -> None:
        """End the workers; a stage that still runs is stopped first."""
        for process in self._processes.values():
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()  # type: ignore[union-attr]
        until = time.monotonic() + _END_S
        for name, process in self._processes.items():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, until - time.monotonic()))
            self._kill(next(place for place in self.places if place.name == name))
        self._selector.close()

    def _open(self, place: Place) -> subprocess.Popen[bytes]:
        # As in `make repro`, `python` in a stage's command is this environment's.
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        return subprocess.Popen(
            [sys.executable, "-m", "pipeline.cluster.worker"],
            cwd=self._root,
            env={**os.environ, "PATH": path, **place.environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )

    def _kill(self, place: Place) -> int:
        """Kill a worker and all it started; return its exit code."""
        process = self._processes[place.name]
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        code = process.wait()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()  # type: ignore[union-attr]
        return code
