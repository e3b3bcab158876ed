"""Running the service: the address it listens on, and how long a connection may be idle."""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from fedmvp.prediction.limits import Limits
from fedmvp.prediction.served import ServedModel
from fedmvp.service.app import build_app

__all__ = ["Connection", "serve"]


class Connection(H11Protocol):
    """A connection that is closed unless a complete head comes in time: uvicorn waits for ever."""

    def __init__(self, *arguments: Any, seconds: float, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.seconds = seconds

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timer."""
        super().connection_made(transport)
        self.loop.call_later(self.seconds, self._close_idle)

    def _close_idle(self) -> None:
        # uvicorn's types do not say that there is no transport before the first connection.
        scope: Any = self.scope
        if scope is None:
            self.transport.abort()


def serve(served: ServedModel, limits: Limits, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM, on a port that is free (`fedmvp.ports.require_free`)."""
    served.prepare()
    print(f"serving http://{host}:{port}/ (Ctrl-C stops it)", file=sys.stderr, flush=True)
    connection: Any = partial(Connection, seconds=limits.seconds)
    uvicorn.run(
        build_app(served, limits),
        host=host,
        port=port,
        http=connection,
        lifespan="off",
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=int(limits.seconds) + 1,
    )
