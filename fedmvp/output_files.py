"""Files whose names users choose: written exactly there, and never over an input or a device.

The pipeline's own outputs are replaced (`fedmvp.files.write_bytes`): if DVC put a link to its cache
there, the link is replaced and the cache is not changed. With a name that a user gives, the file to
which a link leads is written.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from fedmvp.errors import ConfigError
from fedmvp.files import write_bytes

__all__ = ["check_output", "write_output"]

_SYSTEM = (Path("/dev"), Path("/proc"))
"""Names in these folders refer to open files: nothing may replace them."""


def check_output(path: Path, inputs: Iterable[Path] = ()) -> None:
    """Refuse, before any work is done, a name that may not be written.

    Parameters
    ----------
    inputs : iterable of Path
        Files the command reads; those that do not exist are no obstacle.

    Raises
    ------
    ConfigError
        When it is a folder, one of the inputs by whatever name, a disk, or write-protected, as
        what DVC keeps in its cache is.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        return
    if stat.S_ISDIR(found.st_mode):
        raise _refused(path, "is a folder", "name the file to write in it")
    if stat.S_ISBLK(found.st_mode) or stat.S_ISSOCK(found.st_mode):
        raise _refused(path, "is a disk or a socket, not a file", "name a file")
    for each in inputs:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # a scene is no file
            if os.path.samestat(found, each.stat()):
                raise _refused(
                    path, "is read by this command, and would be overwritten", "name another file"
                )
    if stat.S_ISREG(found.st_mode) and not found.st_mode & 0o222:
        raise _refused(
            path,
            "is write-protected, as files of DVC's cache are",
            "name another file, or allow writing with chmod u+w",
        )


def write_output(path: Path, content: bytes, inputs: Iterable[Path] = ()) -> None:
    """Write a file a user named, making parent folders.

    A link stays one, and what it leads to is written. A device or pipe is written to. A file is
    replaced atomically and keeps its mode and, where the system lets us, its owner; a new one
    has the mode the umask leaves.

    Raises
    ------
    ConfigError
        As `check_output` does.
    OSError
        When it cannot be written; an old file is then untouched.
    """
    check_output(path, inputs)
    target = Path(os.path.realpath(path))
    found = path.stat() if path.exists() else None
    stream = found is not None and not stat.S_ISREG(found.st_mode)
    if stream or any(place in (*path.absolute().parents, *target.parents) for place in _SYSTEM):
        # Appending, because what stands behind /dev/stdout may hold something already.
        with path.open("ab") as file:
            file.write(content)
        return
    write_bytes(target, content, like=found)


def _refused(path: Path, what: str, hint: str) -> ConfigError:
    return ConfigError(what, where=path, hint=hint)
