"""Safe extraction of zip and tar archives.

An archive may only create regular files and folders inside its target: paths that leave it, links
and devices are refused, whatever the archive's checksum. So is an archive that expands more than
any real file could.
"""

from __future__ import annotations

import errno
import stat
import tarfile
import zipfile
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from fedmvp.errors import SourceError

__all__ = ["extract", "most_unpacked_bytes"]

_MAX_RATIO = 100
"""Largest ratio of expansion; tables of text reach 20, images 1."""
_SLACK_BYTES = 64 << 20
_MEMBER_BYTES = 512
"""Bytes that an empty member counts as."""
_OF_THE_DISK = frozenset(
    {
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EROFS,
        errno.EACCES,
        errno.EPERM,
        errno.EIO,
        errno.EMFILE,
        errno.ENFILE,
        errno.EFBIG,
    }
)
_HINT = "get the archive from its official source again"


def extract(archive: Path, target: Path) -> None:
    """Extract a zip or (compressed) tar archive below `target`.

    Parameters
    ----------
    archive : Path
        Its kind is detected by content, not by name: some public archives are misnamed.
    target : Path
        Created if missing. After an error it contains some of the files; the caller discards it.

    Raises
    ------
    SourceError
        When the file is not an archive, is damaged, or holds a member that is not allowed.
    """
    target.mkdir(parents=True, exist_ok=True)
    try:
        kinds = {zipfile.is_zipfile: _extract_zip, tarfile.is_tarfile: _extract_tar}
        read = next((reader for is_one, reader in kinds.items() if is_one(archive)), None)
        if read is None:
            raise SourceError("not a zip or tar archive", where=archive, hint=_HINT)
        read(archive, target)
    except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
        raise SourceError(
            f"members contradict each other ({error})", where=archive, hint=_HINT
        ) from None
    except Exception as error:  # parsers of untrusted bytes raise many kinds
        # Damaged archives raise OSErrors of their own: impossible offsets, names, blocks of bz2.
        if isinstance(error, SourceError) or getattr(error, "errno", None) in _OF_THE_DISK:
            raise
        raise SourceError(
            f"archive is damaged or unsupported ({error})", where=archive, hint=_HINT
        ) from None


def _extract_zip(archive: Path, target: Path) -> None:
    budget = _Budget(archive)
    with zipfile.ZipFile(archive) as opened:
        for member in opened.infolist():
            path = _checked(archive, member.filename, target)
            mode = stat.S_IFMT(member.external_attr >> 16)
            if mode not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _refused(archive, member.filename, "is a link or device")
            budget.spend(_MEMBER_BYTES)
            if member.is_dir():
                path.mkdir(parents=True, exist_ok=True)
                continue
            with opened.open(member) as content:
                _write(content, path, budget)


def _extract_tar(archive: Path, target: Path) -> None:
    budget = _Budget(archive)
    with tarfile.open(archive, mode="r:*") as opened:
        for member in opened:
            path = _checked(archive, member.name, target)
            budget.spend(_MEMBER_BYTES)
            if member.isdir():
                path.mkdir(parents=True, exist_ok=True)
                continue
            content = opened.extractfile(member) if member.isfile() else None
            if content is None:
                raise _refused(archive, member.name, "is a link or device")
            with content:
                _write(content, path, budget)


def _checked(archive: Path, name: str, target: Path) -> Path:
    path = PurePosixPath(name)
    outside = path.is_absolute() or ".." in path.parts
    if outside or "\\" in name or PureWindowsPath(name).drive:
        raise _refused(archive, name, "would leave the target folder")
    return target / path


def _refused(archive: Path, name: str, why: str) -> SourceError:
    return SourceError(f"archive member {why}", where=archive, value=name, hint=_HINT)


def most_unpacked_bytes(archive: Path) -> int:
    """Return the largest permitted size of a compressed file's content, in bytes."""
    return _SLACK_BYTES + _MAX_RATIO * archive.stat().st_size


class _Budget:
    """Bytes to which an archive may still expand, counted as they come: headers can be wrong."""

    def __init__(self, archive: Path) -> None:
        self.archive = archive
        self.left = most_unpacked_bytes(archive)

    def spend(self, count: int) -> None:
        """Take `count` bytes off."""
        self.left -= count
        if self.left < 0:
            raise SourceError(
                f"archive expands to more than {_MAX_RATIO} times its size",
                where=self.archive,
                hint=_HINT,
            )


def _write(content: IO[bytes], path: Path, budget: _Budget) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        while chunk := content.read(1 << 20):
            budget.spend(len(chunk))
            file.write(chunk)
