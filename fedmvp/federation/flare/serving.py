"""What ``serve`` begins with: one of a folder, and a server that starts while torch is imported."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fedmvp.federation.flare.events import Events
from fedmvp.federation.flare.layout import Organiser
from fedmvp.federation.flare.policy import server_resources
from fedmvp.federation.flare.process import Process, server_process
from fedmvp.files import write_json
from fedmvp.process_lock import hold_alone
from fedmvp.results.files import RECORD

__all__ = ["held", "server_ahead", "start_server"]

_PATIENCE_S = 2.0  # for a `serve` that is ending


@contextmanager
def held(organiser: Organiser) -> Iterator[None]:
    """Within this context, keep out a second `serve` of the same folder.

    Raises
    ------
    ConfigError
        When one is running.
    """
    organiser.run.mkdir(exist_ok=True, mode=0o700)
    with hold_alone(
        organiser.run / "serve.lock",
        _PATIENCE_S,
        "already serves this federation",
        where=organiser.root,
        hint="; finished rounds are kept",
    ):
        yield


def start_server(organiser: Organiser) -> Process:
    """Start the server, which takes seconds to answer."""
    # Its stores have absolute paths, and the folder may have been moved.
    write_json(
        organiser.server / "local" / "resources.json",
        server_resources(organiser.server),
    )
    process = server_process(organiser, organiser.run / "server.log")
    Events(organiser.events).write("server")
    return process


@contextmanager
def server_ahead(organiser: Organiser) -> Iterator[Process | None]:
    """Start the server, and end it whatever happens; none where there are results already.

    Its imports and those of the supervisor take some seconds each, and so run side by side.
    """
    if (organiser.results / RECORD).is_file():
        yield None  # most likely nothing is left to do, and if there is, the supervisor starts one
        return
    process = start_server(organiser)
    try:
        yield process
    finally:
        process.stop()
