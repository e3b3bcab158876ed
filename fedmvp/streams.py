"""Handling of stdin, stdout and stderr that are closed or cannot encode every character."""

from __future__ import annotations

import io
import os
import sys

__all__ = ["flush_stdout", "open_closed_streams"]

_NAMES = ("stdin", "stdout", "stderr")


def open_closed_streams() -> None:
    r"""Open what was closed (``>&-``) on the null device, and escape what a stream cannot encode.

    Closed, its number would go to the next file that is opened, and a line meant for the user
    into that file; and Python has no object there to write to. A terminal of another encoding than
    UTF-8 gets ``\u2026`` for a character it lacks.
    """
    for number, name in enumerate(_NAMES):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
            os.set_inheritable(opened, opened == number)
            setattr(sys, name, os.fdopen(opened, "r" if name == "stdin" else "w", closefd=False))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def flush_stdout() -> None:
    """Write out what was printed.

    Raises
    ------
    OSError
        When that is impossible, as on a full disk; it is then dropped, so that the interpreter
        does not try again, and fail, at its end.
    """
    try:
        sys.stdout.flush()
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
        raise
