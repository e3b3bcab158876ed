"""What every stage does around its work: one-line errors, exit codes, signals."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from types import FrameType

from fedmvp.errors import FedMVPError

__all__ = ["run_stage"]


class _Stopped(KeyboardInterrupt):
    """Raised by the first SIGINT or SIGTERM, so that half-written files are cleared away."""


def _stop(number: int, frame: FrameType | None) -> None:
    for again in (signal.SIGINT, signal.SIGTERM):
        signal.signal(again, signal.SIG_DFL)  # a second one ends the process at once
    raise _Stopped(number)


def run_stage(main: Callable[[], None]) -> None:
    """Run a stage's `main` and end the process.

    Exit codes: 0 done; 2 something the user can mend, named in one line (the traceback too if
    FEDMVP_DEBUG is set); 128 + number when a signal stopped it: 130 for SIGINT, 143 for SIGTERM.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    try:
        main()
    except FedMVPError as error:
        _refuse(str(error))
    except _Stopped as stopped:
        print(f"stopped by {signal.Signals(stopped.args[0]).name}; what is finished is kept "
              "(training: its rounds): run `dvc repro` to go on", file=sys.stderr)  # fmt: skip
        sys.exit(128 + stopped.args[0])
    except OSError as error:
        notes = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
        name = f"{error.filename}: " if error.filename else ""
        _refuse(f"{name}{error.strerror or error}{notes}; mend: free disk space or make the folder "
                "writable, then run `dvc repro` again: what is finished is kept")  # fmt: skip


def _refuse(message: str) -> None:
    if os.environ.get("FEDMVP_DEBUG"):
        traceback.print_exc()
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)
