"""What the service counts, for Prometheus: requests by status, seconds, images of a pass."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

__all__ = ["KIND", "Measured", "Metrics"]

KIND = "text/plain; version=0.0.4; charset=utf-8"
"""Content type of the text format."""
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_IMAGES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """Counts of one service."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self.registry: CollectorRegistry = CollectorRegistry()
        where: dict[str, Any] = {"registry": self.registry}
        self.requests = Counter(
            "fedmvp_requests", "Requests to classify, by status.", ["status"], **where
        )
        self.seconds = Histogram(
            "fedmvp_request_seconds",
            "From a request's head to its answer.",
            buckets=_SECONDS,
            **where,
        )
        self.waiting = Gauge("fedmvp_requests_in_progress", "Requests being served.", **where)
        self.passes = Histogram(
            "fedmvp_pass_images", "Images classified in one pass.", buckets=_IMAGES, **where
        )

    def text(self) -> bytes:
        """Return the counts in Prometheus' text format."""
        from prometheus_client import generate_latest

        content: bytes = generate_latest(self.registry)
        return content


class Measured:
    """Middleware that counts requests to ``/classify``.

    Parameters
    ----------
    app : ASGIApp
    metrics : Metrics
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http" or scope["path"] != "/classify":
            await self.app(scope, receive, send)
            return
        status, start = 500, time.monotonic()

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with self.metrics.waiting.track_inprogress():
            try:
                await self.app(scope, receive, noted)
            finally:
                self.metrics.requests.labels(str(status)).inc()
                self.metrics.seconds.observe(time.monotonic() - start)
