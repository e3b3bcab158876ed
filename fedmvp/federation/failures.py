"""The record of a client that gave no usable update.

The record is an output, so it contains nothing specific to this machine: no absolute path and no
memory address.
"""

from __future__ import annotations

import os
import re
import traceback
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Failure"]

# The path of a file or folder; the address Python prints for an object without a name.
_ABSOLUTE = re.compile(r"(?<![\w.:/])/(?:[^\s/'\":;,()\[\]]+/)*(?=[^\s/'\":;,()\[\]])")
_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,}\b")


@dataclass(frozen=True)
class Failure:
    """A client that gave no usable update in a round.

    Parameters
    ----------
    error : str
        Class and message of the error; paths are cut to their last part.
    trace : str
        ``file:line in function`` of every frame, outermost first.
    """

    client: str
    round_index: int
    error: str
    trace: str

    @classmethod
    def of(cls, client: str, round_index: int, error: BaseException) -> Failure:
        """Describe `error`."""
        frames = traceback.extract_tb(error.__traceback__)
        lines = [f"{Path(f.filename).name}:{f.lineno} in {f.name}" for f in frames]
        text = f"{type(error).__name__}: {_portable(_message(error))}"
        return cls(client, round_index, text, " > ".join(lines))


def _message(error: BaseException) -> str:
    """Return the message of an error; that of an OSError names its files by full path."""
    if not isinstance(error, OSError) or error.strerror is None:
        return str(error)
    files = [
        Path(os.fsdecode(f)).name
        for f in (error.filename, error.filename2)
        if isinstance(f, str | bytes)
    ]
    return ": ".join([error.strerror, " -> ".join(files)] if files else [error.strerror])


def _portable(text: str) -> str:
    """Return `text` without absolute paths and addresses.

    Known folders are removed first: their names may contain spaces, which no pattern can tell
    from the end of a path.
    """
    for folder in sorted({str(Path.cwd()), str(Path.home())}, key=len, reverse=True):
        if len(folder) > 1:
            text = text.replace(f"{folder}{os.sep}", "")
    return _ADDRESS.sub("0x…", _ABSOLUTE.sub("", text))
