"""What `benchmarks.federation_cost` reads off: bytes on the wire, CPU and memory of processes."""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import psutil

__all__ = ["Snapshot", "Wire", "memory", "roles", "snapshot"]

_MIB = 1 << 20


@dataclass
class Wire:
    """Passes connections on to a port, and counts the bytes of both directions."""

    target: int
    up: int = 0
    down: int = 0
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.listener.getsockname()[1])

    def start(self) -> None:
        """Take connections until the process ends."""
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self) -> None:
        while True:
            site, _ = self.listener.accept()
            try:
                server = socket.create_connection(("127.0.0.1", self.target))
            except OSError:  # not up yet: sites try again
                site.close()
                continue
            for source, sink, way in ((site, server, "up"), (server, site, "down")):
                threading.Thread(target=self._pass, args=(source, sink, way), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, way: str) -> None:
        try:
            while content := source.recv(1 << 16):
                sink.sendall(content)
                setattr(self, way, getattr(self, way) + len(content))
        except OSError:
            pass
        finally:
            for end in (source, sink):
                end.close()


@dataclass(frozen=True)
class Snapshot:
    """CPU seconds so far by role, and bytes on the wire."""

    cpu: dict[str, float]
    up: int
    down: int


def roles(serve: int, joined: Sequence[int]) -> dict[str, list[psutil.Process]]:
    """Return the processes of each part of a federation."""
    found: dict[str, list[psutil.Process]] = {}
    for pid, words in (
        (serve, (("runner_process", "server, job"), ("process server", "server"))),
        *((pid, (("worker_process", "site, job"), ("process site", "site"))) for pid in joined),
    ):
        for process in psutil.Process(pid).children(recursive=True):
            line = " ".join(process.cmdline())
            role = next((role for word, role in words if word in line), None)
            if role is not None:
                found.setdefault(role, []).append(process)
    found["supervisor"] = [psutil.Process(serve)]
    return found


def snapshot(found: dict[str, list[psutil.Process]], wire: Wire) -> Snapshot:
    """Return what was used so far."""
    used = {role: sum(sum(p.cpu_times()[:2]) for p in each) for role, each in found.items()}
    return Snapshot(used, wire.up, wire.down)


def memory(found: dict[str, list[psutil.Process]]) -> dict[str, float]:
    """Return MiB of one process of each role, shared pages in parts."""
    return {
        role: sum(p.memory_full_info().pss for p in each) / len(each) / _MIB
        for role, each in found.items()
    }
