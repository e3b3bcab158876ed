"""Ctrl-C and SIGTERM that are never lost.

A signal's handler raises, but Python swallows what is raised within a finaliser, and libraries what
is raised within their callbacks. So the handler also notes the signal: loops ask for it at each
step, and whoever ends the process asks once more.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from types import FrameType

__all__ = ["Stopped", "listen", "listening", "raise_if_stopped", "stop_listening"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_received: list[int] = []
"""Belongs to the process, as its handlers do."""


class Stopped(KeyboardInterrupt):
    """Raised by the first SIGINT or SIGTERM, so that half-written files are cleared away."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(number)

    @property
    def exit_code(self) -> int:
        """128 and the signal's number: 130 for SIGINT, 143 for SIGTERM."""
        return 128 + self.number

    def __str__(self) -> str:
        return f"stopped by {signal.Signals(self.number).name}"


def listen() -> None:
    """Take SIGINT and SIGTERM from now on; a second one ends the process at once."""
    for number in _SIGNALS:
        signal.signal(number, _stop)
    sys.unraisablehook = _say_unless_stopped


def stop_listening() -> None:
    """Leave both signals to the system, which ends the process: nothing can swallow them then."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL)


@contextlib.contextmanager
def listening() -> Iterator[None]:
    """Take both signals within the context; see `listen`."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    listen()
    try:
        yield
    finally:
        _received.clear()
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        sys.unraisablehook = sys.__unraisablehook__


def raise_if_stopped() -> None:
    """Raise what a signal has raised already, in case it was swallowed.

    Raises
    ------
    Stopped
        When a signal came.
    """
    if _received:
        raise Stopped(_received[0])


def _stop(number: int, frame: FrameType | None) -> None:
    stop_listening()
    _received.append(number)
    raise Stopped(number)


def _say_unless_stopped(swallowed: sys.UnraisableHookArgs) -> None:
    """Print what Python swallowed, unless it is a signal: that is not lost, and said at the end."""
    if not isinstance(swallowed.exc_value, Stopped):
        sys.__unraisablehook__(swallowed)
