"""What every stage does around its work: one-line errors, exit codes, signals."""

from __future__ import annotations

import gc
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from types import FrameType

from fedmvp.errors import ConfigError, FedMVPError, one_line
from fedmvp.shortcuts import Shortcuts

__all__ = ["run_stage", "stage_arguments", "stage_seed"]


class _Stopped(KeyboardInterrupt):
    """Raised by the first SIGINT or SIGTERM, so that half-written files are cleared away."""


def _stop(number: int, frame: FrameType | None) -> None:
    for again in (signal.SIGINT, signal.SIGTERM):
        signal.signal(again, signal.SIG_DFL)  # a second one ends the process at once
    raise _Stopped(number)


def run_stage(main: Callable[[], None]) -> None:
    """Run a stage's `main` and end the process.

    Exit codes: 0 done; 2 something the user can hint, named in one line (the traceback too if
    FEDMVP_DEBUG is set); 128 + number when a signal stopped it: 130 for SIGINT, 143 for SIGTERM.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    # Modules stay until the end; unfrozen, each collection and the interpreter's own at its end
    # would look through them all.
    gc.freeze()
    gc.enable()
    try:
        Shortcuts.from_environment()  # a wrong name is refused before the work
        main()
    except FedMVPError as error:
        _refuse(str(error))
    except _Stopped as stopped:
        print(f"stopped by {signal.Signals(stopped.args[0]).name}; what is finished is kept "
              "(training: its rounds): run `dvc repro` to go on", file=sys.stderr)  # fmt: skip
        sys.exit(128 + stopped.args[0])
    except OSError as error:
        notes = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
        name = f"{one_line(str(error.filename))}: " if error.filename else ""
        _refuse(f"{name}{error.strerror or error}{notes}; hint: check the path and its "
                "permissions, and free disk space, then run `dvc repro` again: what is finished is "
                "kept")  # fmt: skip


def _refuse(message: str) -> None:
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
        raise ConfigError("not a seed", where="command line", value=word,
                          hint="give a whole number of run.seeds")  # fmt: skip
    return int(word)


def stage_arguments(arguments: Sequence[str], *names: str) -> tuple[str, ...]:
    """Return the words a stage was started with, one for each of `names`.

    Raises
    ------
    ConfigError
        When there are more or fewer.
    """
    if len(arguments) != len(names):
        raise ConfigError("wrong number of words", where="command line", value=list(arguments),
                          hint=f"give {' '.join(names)}")  # fmt: skip
    return tuple(arguments)
