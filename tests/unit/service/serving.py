"""The service in a thread of the test."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import uvicorn

from fedmvp.prediction.limits import Limits
from fedmvp.service.app import build_app
from fedmvp.service.server import Connection


@contextmanager
def served(model: Any, limits: Limits) -> Iterator[int]:
    """Serve `model` on a free port; yield the port."""
    connection: Any = partial(Connection, seconds=limits.seconds)
    config = uvicorn.Config(
        build_app(model, limits), port=0, http=connection, lifespan="off", log_level="critical"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


class Slow:
    """A model that answers when it is told to."""

    def __init__(self) -> None:
        self.begun, self.may_end = threading.Event(), threading.Event()

    def read(self, images: Any, dataset: Any, budget: Any) -> None:
        self.begun.set()
        assert self.may_end.wait(30)

    def answers(self, ready: Any, run: Any, budget: Any) -> list[dict[str, Any]]:
        return []


class Broken:
    """A model with a fault."""

    def read(self, images: Any, dataset: Any, budget: Any) -> None:
        raise RuntimeError("/home/ann/secret.py is broken")
