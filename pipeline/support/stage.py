"""What every stage does around its work: one-line errors, exit codes, signals."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import NoReturn

from fedmvp.errors import ConfigError, error_line
from fedmvp.interruption import Stopped, listen, raise_if_stopped, stop_listening
from fedmvp.shortcuts import Shortcuts
from fedmvp.streams import flush_stdout, open_closed_streams

__all__ = ["begin", "run_stage", "stage_arguments", "stage_seed"]


_DISK_HINT = (
    "check the path and its permissions, and free disk space, then run `dvc repro` "
    "again: finished work is kept"
)


def begin() -> None:
    """Prepare a process that will run a stage, before it imports what the stage needs.

    From here on a signal ends it with the right exit code, and an import that fails for lack of
    memory is reported in one line.
    """
    listen()
    open_closed_streams()
    sys.excepthook = _end_in_one_line


def run_stage(main: Callable[[], None]) -> None:
    """Run a stage's `main` and end the process.

    Exit codes: 0 done; 2 an error the user can correct, reported in one line (with the traceback if
    FEDMVP_DEBUG is set); 128 + number when a signal stopped it, even if a library swallowed its
    exception: 130 for SIGINT, 143 for SIGTERM.
    """
    listen()
    open_closed_streams()
    # Modules stay until the end; without freezing, each garbage collection, also the interpreter's
    # last, would search all of them.
    gc.freeze()
    gc.enable()
    try:
        _work(main)
    except Stopped as stopped:
        _say_stopped(stopped)
    stop_listening()  # from here on, signals may end the process directly


def _work(main: Callable[[], None]) -> None:
    raise_if_stopped()
    try:
        Shortcuts.from_environment()  # an unknown name is refused before the work begins
        main()
        flush_stdout()
    except Exception as error:
        raise_if_stopped()
        if (line := error_line(error, _DISK_HINT)) is None:
            raise
        with contextlib.suppress(OSError):
            flush_stdout()
        _refuse(line)
    raise_if_stopped()


def _end_in_one_line(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Report an error in place of Python's traceback, outside of `run_stage`."""
    if isinstance(error, Stopped):
        _say_stopped(error)
    line = error_line(error, _DISK_HINT) if isinstance(error, Exception) else None
    if line is None or os.environ.get("FEDMVP_DEBUG"):
        sys.__excepthook__(kind, error, trace)
    if line is not None:
        print(f"error: {line}", file=sys.stderr)
        sys.exit(2)


def _say_stopped(stopped: Stopped) -> NoReturn:
    print(
        f"{stopped}; finished work is kept (training: rounds): run `dvc repro` to resume",
        file=sys.stderr,
    )
    sys.exit(stopped.exit_code)


def _refuse(message: str) -> NoReturn:
    if os.environ.get("FEDMVP_DEBUG"):
        traceback.print_exc()
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)


def stage_seed(word: str) -> int:
    """Return the seed a stage was started with.

    Raises
    ------
    ConfigError
        When it is not a whole number.
    """
    if not word.isdecimal() or len(word) > 16:
        raise ConfigError(
            "not a seed", where="command line", value=word, hint="give a whole number of run.seeds"
        )
    return int(word)


def stage_arguments(arguments: Sequence[str], *names: str) -> tuple[str, ...]:
    """Return the words a stage was started with, one for each of `names`.

    DVC gives them as options, ``--setting base_to_new``; by hand they may stand in order.

    Raises
    ------
    ConfigError
        When there are more or fewer.
    """
    options = [f"--{name.lower()}" for name in names]
    if list(arguments[::2]) == options:
        arguments = arguments[1::2]
    if len(arguments) != len(names):
        raise ConfigError(
            "wrong number of arguments",
            where="command line",
            value=list(arguments),
            hint=f"give {' '.join(names)}",
        )
    return tuple(arguments)
