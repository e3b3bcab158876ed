"""``fedmvp site join``: keeps a site connected, and restarts its process whenever it ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fedmvp.errors import ConfigError
from fedmvp.federation.flare.layout import Kit
from fedmvp.federation.flare.process import Process, site_process
from fedmvp.interruption import raise_if_stopped
from fedmvp.process_lock import hold_alone

__all__ = ["stay"]

_POLL_S = 0.5
_PATIENCE_S = 2.0  # how long to wait for a process that is ending
_FIRST_S, _LONGEST_S = 1.0, 60.0
_STEADY_S = 120.0


def stay(kit: Kit, say: Callable[[str], None]) -> None:
    """Run the site until a signal comes; when its process ends, start it again.

    The pause before a restart doubles from 1 s up to a minute, and is 1 s again after a process
    that ran for more than two minutes.

    Raises
    ------
    ConfigError
        When the site has no site.yaml yet, or another process already uses this kit.
    Stopped
        When a signal comes.
    """
    if not kit.site.is_file():
        raise ConfigError(
            "the site has no site.yaml",
            where=kit.root,
            hint=f"write it: `fedmvp site init {kit.root} --images TREE --attributes FILE`",
        )
    with _held(kit):
        _stay(kit, say)


@contextmanager
def _held(kit: Kit) -> Iterator[None]:
    """Keep a second process out: both would answer, and both write the same client states."""
    kit.state.mkdir(exist_ok=True, mode=0o700)
    with hold_alone(
        kit.state / "join.lock", _PATIENCE_S, "already takes part with this kit", where=kit.root
    ):
        yield


def _stay(kit: Kit, say: Callable[[str], None]) -> None:
    output = kit.root / "flare.log"
    say(f"{kit.name}: joined; Ctrl-C stops it; for details see {output} and {kit.log}")
    wait = _FIRST_S
    while True:
        began = time.monotonic()
        process = site_process(kit, output)
        try:
            _watch(process)
        finally:
            process.stop()
        wait = _FIRST_S if time.monotonic() - began > _STEADY_S else min(2 * wait, _LONGEST_S)
        say(f"{kit.name}: its process ended with {process.popen.returncode}; restart in {wait:g} s")
        _sleep(wait)


def _watch(process: Process) -> None:
    while process.running:
        _sleep(_POLL_S)


def _sleep(seconds: float) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        raise_if_stopped()
        time.sleep(min(left, _POLL_S))
