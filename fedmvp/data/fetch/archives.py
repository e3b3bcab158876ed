"""Safe extraction of zip and tar archives.

An archive may only make regular files and folders below its target: names that leave it, links
and devices are refused, whatever the archive's checksum says.
"""

from __future__ import annotations

import shutil
import stat
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from fedmvp.errors import SourceError

__all__ = ["extract"]

_MEND = "get the archive from its official source again"


def extract(archive: Path, target: Path) -> None:
    """Extract a zip or (compressed) tar archive below `target`.

    Parameters
    ----------
    archive : Path
        Its kind is told from its content, not its name: public archives are misnamed.
    target : Path
        Made if missing. On an error it holds a part of the files; the caller discards it.

    Raises
    ------
    SourceError
        When the archive is no archive, is damaged, or holds a member that is not allowed.
    """
    target.mkdir(parents=True, exist_ok=True)
    try:
        if zipfile.is_zipfile(archive):
            _extract_zip(archive, target)
        elif tarfile.is_tarfile(archive):
            _extract_tar(archive, target)
        else:
            raise SourceError("not a zip or tar archive", where=archive, mend=_MEND)
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, RuntimeError) as error:
        # RuntimeError: an encrypted member or an unknown compression.
        raise SourceError(
            f"archive is damaged or unsupported ({error})", where=archive, mend=_MEND
        ) from None
    except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
        raise SourceError(
            f"members contradict each other ({error})", where=archive, mend=_MEND
        ) from None


def _extract_zip(archive: Path, target: Path) -> None:
    with zipfile.ZipFile(archive) as opened:
        for member in opened.infolist():
            path = _checked(archive, member.filename, target)
            mode = stat.S_IFMT(member.external_attr >> 16)
            if mode not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _refused(archive, member.filename, "is a link or device")
            if member.is_dir():
                path.mkdir(parents=True, exist_ok=True)
                continue
            with opened.open(member) as content:
                _write(content, path)


def _extract_tar(archive: Path, target: Path) -> None:
    with tarfile.open(archive, mode="r:*") as opened:
        for member in opened:
            path = _checked(archive, member.name, target)
            if member.isdir():
                path.mkdir(parents=True, exist_ok=True)
                continue
            content = opened.extractfile(member) if member.isfile() else None
            if content is None:
                raise _refused(archive, member.name, "is a link or device")
            with content:
                _write(content, path)


def _checked(archive: Path, name: str, target: Path) -> Path:
    path = PurePosixPath(name)
    outside = path.is_absolute() or ".." in path.parts
    if outside or "\\" in name or PureWindowsPath(name).drive:
        raise _refused(archive, name, "would leave the target folder")
    return target / path


def _refused(archive: Path, name: str, why: str) -> SourceError:
    return SourceError(f"archive member {why}", where=archive, value=name, mend=_MEND)


def _write(content: IO[bytes], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        shutil.copyfileobj(content, file, 1 << 20)
