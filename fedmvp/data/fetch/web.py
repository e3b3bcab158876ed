"""Download over http(s): resumes when interrupted, and never leaves half a file under its name."""

from __future__ import annotations

import errno
import hashlib
import http.client
import re
import time
import urllib.error
import urllib.request
from pathlib import Path

from fedmvp.catalog.sources import SourceFile
from fedmvp.data.fetch.progress import Advance, transfer_bar
from fedmvp.errors import SourceError
from fedmvp.interruption import raise_if_stopped

__all__ = ["download", "download_drive", "verify_file"]

_CHUNK_BYTES = 1 << 20
_CUT = (OSError, http.client.HTTPException)
_BUSY = (http.client.REQUEST_TIMEOUT, http.client.TOO_MANY_REQUESTS)
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)


def download(
    url: str,
    target: Path,
    *,
    attempts: int = 5,
    pause_s: float = 1.0,
    timeout_s: float = 60.0,
    size_bytes: int | None = None,
) -> None:
    """Fetch `url` to `target`; the caller verifies the content.

    What has been received stays in ``<target>.part``, so the download resumes after a lost
    connection or a killed process if the server supports ranges.

    Parameters
    ----------
    attempts : int, default=5
        Connections tried before giving up; one that brought new bytes does not count.
    pause_s : float, default=1.0
        Wait before the next attempt in seconds; doubles each time.
    timeout_s : float, default=60.0
        How long the server may send nothing, in seconds.
    size_bytes : int, optional
        Declared length: a server that sends more is cut off, before it fills the disk.

    Raises
    ------
    SourceError
        When the server refuses (4xx), sends too much, or all attempts failed.
    OSError
        When the disk is full or cannot be written.
    """
    if not url.startswith(("http://", "https://")):
        raise SourceError("not an http(s) address", where=url, hint="correct the catalog entry")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    with transfer_bar(target.name) as advance:
        limited = _limited(advance, url, part, size_bytes)
        _fetch_all(url, part, limited, attempts=attempts, pause_s=pause_s, timeout_s=timeout_s)
    part.replace(target)


def _limited(advance: Advance, url: str, part: Path, most: int | None) -> Advance:
    """Return `advance` with a limit: a file that is too long is refused and removed."""

    def step(done: int, total: int | None) -> None:
        raise_if_stopped()
        if most is not None and done > most:
            part.unlink(missing_ok=True)
            raise SourceError(
                f"server sends more than the declared {most} bytes",
                where=url,
                hint="use another source, or correct the catalog entry",
            )
        advance(done, total)

    return step


def _fetch_all(
    url: str, part: Path, advance: Advance, *, attempts: int, pause_s: float, timeout_s: float
) -> None:
    """Fill `part` over as many connections as it takes."""
    failures = 0
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            if _fetch_rest(url, part, timeout_s, advance):
                return
            reason = "connection was cut"
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and before:
                if error.headers.get("Content-Range") == f"bytes */{before}":
                    return
                # The part is longer than the file: it belongs to another version of it.
                part.unlink()
            elif error.code < http.client.INTERNAL_SERVER_ERROR and error.code not in _BUSY:
                raise SourceError(
                    f"server answered {error.code} {error.reason}",
                    where=url,
                    hint="check the address, or use another source",
                ) from None
            reason = f"server answered {error.code} {error.reason}"
        except _CUT as error:
            if isinstance(error, OSError) and error.errno in _DISK:
                raise  # no other attempt can succeed
            reason = f"connection failed ({error})"
        after = part.stat().st_size if part.exists() else 0
        failures = 0 if after > before else failures + 1
        if failures >= attempts:
            raise SourceError(reason, where=url, hint="check the network and run again: it resumes")
        time.sleep(pause_s * 2 ** min(failures, 5))


def _fetch_rest(url: str, part: Path, timeout_s: float, advance: Advance) -> bool:
    """Append what is missing to `part`; tell whether it is complete."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "fedmvp", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - checked by download()
    with urllib.request.urlopen(request, timeout=timeout_s) as answer:  # noqa: S310
        resumed = _range_start(answer.headers.get("Content-Range")) == have and have > 0
        length = answer.headers.get("Content-Length")
        received, start = 0, have if resumed else 0
        total = None if length is None else start + int(length)
        with part.open("ab" if resumed else "wb") as file:
            while chunk := answer.read(_CHUNK_BYTES):
                file.write(chunk)
                received += len(chunk)
                advance(start + received, total)
    return length is None or received == int(length)


def _range_start(header: str | None) -> int | None:
    match = re.match(r"bytes (\d+)-", header or "")
    return int(match[1]) if match else None


def verify_file(path: Path, file: SourceFile, hint: str) -> None:
    """Check a file's length and checksums, as far as they are declared.

    Raises
    ------
    SourceError
        When the file is missing or its content is not the declared one.
    """
    if not path.is_file():
        raise SourceError("file is missing", where=path, hint=hint)
    size = path.stat().st_size
    if file.size_bytes is not None and size != file.size_bytes:
        raise SourceError(
            f"length is not the declared {file.size_bytes} bytes", where=path, value=size, hint=hint
        )
    for algorithm in ("sha256", "md5"):
        expected = getattr(file, algorithm)
        if expected is None:
            continue
        with path.open("rb") as opened:
            actual = hashlib.file_digest(opened, algorithm).hexdigest()
        if actual != expected:
            raise SourceError(
                f"{algorithm} is not the declared {expected}", where=path, value=actual, hint=hint
            )


def download_drive(file_id: str, target: Path) -> None:
    """Fetch a file to `target`, which appears whole or not; the caller verifies the content.

    Raises
    ------
    SourceError
        When Drive refuses (popular files run into quotas) or the connection fails.
    """
    import gdown
    import requests
    from gdown.exceptions import DownloadError, FileURLRetrievalError

    where = f"https://drive.google.com/uc?id={file_id}"
    hint = f"try again tomorrow, or fetch it in a browser and save it as {target}"
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        gdown.download(id=file_id, output=str(target), resume=True)
    except (DownloadError, FileURLRetrievalError, requests.RequestException, OSError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise SourceError(f"Google Drive refused ({reason})", where=where, hint=hint) from None
    if not target.is_file():
        raise SourceError("Google Drive gave no file", where=where, hint=hint)
