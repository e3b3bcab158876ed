"""Running the service: the address it listens on, and how long a connection may idle."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from fedmvp.ports import require_free
from fedmvp.prediction.bundle import ServedModel
from fedmvp.prediction.limits import Limits
from fedmvp.service.app import build_app

__all__ = ["serve"]


class _Connection(H11Protocol):
    """A connection that is closed where no request begins in time: uvicorn waits for ever."""

    def __init__(self, *arguments: Any, seconds: float, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.seconds = seconds

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.loop.call_later(self.seconds, self._close_idle)

    def _close_idle(self) -> None:
        if self.scope is None:  # no request has come whole
            self.transport.abort()


def serve(served: ServedModel, limits: Limits, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises
    ------
    ConfigError
        When the port is impossible or taken.
    """
    require_free(host, port, "fedmvp serve")
    connection: Any = partial(_Connection, seconds=limits.seconds)
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
