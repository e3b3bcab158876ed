"""Replies of remote clients as they come in, and the deadline after which they are not awaited.

Threads of an engine put them in; one loop takes them out, in the order in which it asked. A reply
that comes twice, too late or from a client that was not asked is dropped.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import TypeVar

__all__ = ["Lost", "Replies"]

_POLL_S = 0.2

_T = TypeVar("_T")


@dataclass(frozen=True)
class Lost:
    """Why there is no reply."""

    reason: str


@dataclass(frozen=True)
class _Arrival:
    client: str
    content: bytes | Lost
    time_s: float


class Replies:
    """Collects one round's replies at a time.

    Parameters
    ----------
    limit : int
        Most bytes of a reply; a longer one is not kept.
    stop : callable
        Called about five times a second while waiting; may raise.
    clock : callable
        Returns the seconds of a monotonic clock.
    """

    def __init__(
        self,
        limit: int,
        stop: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limit = limit
        self.stop = stop
        self.clock = clock
        self._queue: queue.SimpleQueue[_Arrival] = queue.SimpleQueue()

    def put(self, client: str, content: bytes | Lost) -> None:
        """Take a client's reply, or the reason why there is none; may be called from any thread."""
        if isinstance(content, bytes) and len(content) > self.limit:
            content = Lost(f"its reply has {len(content):,} bytes, more than {self.limit:,}")
        self._queue.put(_Arrival(client, content, self.clock()))

    def collect(
        self,
        clients: Collection[str],
        deadline_s: float,
        read: Callable[[str, bytes], _T | None],
    ) -> Iterator[tuple[str, _T | Lost]]:
        """Yield each client's reply in turn, `Lost` for one that gave none before the deadline.

        Parameters
        ----------
        deadline_s : float
            Seconds for all replies together, from the start of the iteration.
        read : callable
            Turns a client and its bytes into what is yielded; None for a reply to another request.
        """
        end = self.clock() + deadline_s
        found: dict[str, _T | Lost] = {}
        done: set[str] = set()

        def take(arrival: _Arrival) -> None:
            client = arrival.client
            if client not in clients or client in done or arrival.time_s > end:
                return
            content = arrival.content
            result = content if isinstance(content, Lost) else read(client, content)
            if result is not None:
                found[client] = result
                done.add(client)

        for client in clients:
            while client not in done:
                self.stop()
                left = end - self.clock()
                try:
                    take(self._queue.get(timeout=max(0.0, min(left, _POLL_S))))
                except queue.Empty:
                    if left <= 0:
                        found[client] = Lost(f"gave no reply within {deadline_s:g} s")
                        done.add(client)
            yield client, found.pop(client)
