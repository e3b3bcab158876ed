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


def _stop(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt(signal.Signals(number).name)


def run_stage(main: Callable[[], None]) -> None:
    """Run a stage's `main` and end the process.

    Exit codes: 0 done; 2 something the user can mend, named in one line (the traceback too if
    FEDMVP_DEBUG is set); 130 interrupted, with how to go on.
    """
    signal.signal(signal.SIGTERM, _stop)
    try:
        main()
    except FedMVPError as error:
        if os.environ.get("FEDMVP_DEBUG"):
            traceback.print_exc()
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted; finished rounds are kept: run `dvc repro` to go on", file=sys.stderr)
        sys.exit(130)
    except OSError as error:
        if os.environ.get("FEDMVP_DEBUG"):
            traceback.print_exc()
        name = f"{error.filename}: " if error.filename else ""
        print(f"error: {name}{error.strerror or error}; mend: free disk space or make the folder "
              "writable, then run `dvc repro` again", file=sys.stderr)  # fmt: skip
        sys.exit(2)
