"""Atomic, byte-reproducible files: JSON, text, bytes; and their hashes.

A reader never sees half a file: everything is written beside its target and renamed over it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import secrets
import stat
from pathlib import Path
from typing import Any

from fedmvp.errors import DataError

__all__ = [
    "MAX_DATA_BYTES",
    "MAX_TEXT_BYTES",
    "RESTORE",
    "parse_json",
    "read_json",
    "read_limited",
    "read_text",
    "remove_partial",
    "sha256_bytes",
    "sha256_file",
    "sha256_json",
    "write_bytes",
    "write_json",
    "write_text",
]

MAX_TEXT_BYTES = 16 << 20
"""Of a file people write: YAML, a template, a list of classes."""
MAX_DATA_BYTES = 1 << 30
"""Of a file programs write: JSON, CSV, a list of images. ImageNet's manifest takes a tenth."""

_PARTIAL = ".partial"
RESTORE = "restore the file, or delete it and run the stage again"
"""The hint for a file of ours that cannot be read."""


def write_bytes(path: Path, content: bytes, *, like: os.stat_result | None = None) -> None:
    """Write `content` to `path` atomically, making parent folders.

    The file is a new one: links to an old one, as into DVC's cache, are not written through.

    Parameters
    ----------
    like : os.stat_result, optional
        Gives the file its mode and, where the system lets us, its owner; else the umask does.

    Raises
    ------
    OSError
        When the disk is full or the folder read-only; the old file is then untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    name = f".{path.name[:40]}.{secrets.token_hex(4)}{_PARTIAL}"
    temporary = path.with_name(name)
    try:
        # Not by tempfile, whose files are private whatever the umask says.
        with temporary.open("xb") as file:
            if like is not None:
                with contextlib.suppress(OSError):
                    os.fchown(file.fileno(), like.st_uid, like.st_gid)
                os.fchmod(file.fileno(), stat.S_IMODE(like.st_mode))
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None and error.filename is None:
            error.filename = str(path)  # a full disk does not say where it is full
        raise


def remove_partial(folder: Path) -> None:
    """Remove what writers that were killed left below `folder`; none may be writing there."""
    for path in folder.rglob(f".*{_PARTIAL}"):
        path.unlink(missing_ok=True)


def write_text(path: Path, content: str) -> None:
    """Write UTF-8 text with the line ends it has, atomically."""
    write_bytes(path, content.encode())


def write_json(path: Path, value: Any, *, sort_keys: bool = True, indent: int | None = 1) -> None:
    """Write JSON that is the same byte for byte on every run.

    Parameters
    ----------
    sort_keys : bool, default=True
        Set False where the order of a mapping carries meaning (label order).

    Raises
    ------
    ValueError
        On NaN or infinity: they are not JSON.
    """
    text = json.dumps(
        value, sort_keys=sort_keys, indent=indent, ensure_ascii=False, allow_nan=False
    )
    write_text(path, text + "\n")


def read_limited(path: Path, limit: int) -> bytes:
    """Return a file's bytes, at most `limit`: a device that never ends is refused, too.

    Raises
    ------
    DataError
        When there are more.
    OSError
        When it cannot be read.
    """
    with path.open("rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise DataError(
            f"holds more than {limit / (1 << 20):g} MiB",
            where=path,
            hint="give a smaller file of the expected kind",
        )
    return content


def read_text(path: Path, limit: int = MAX_TEXT_BYTES, encoding: str = "utf-8") -> str:
    """Return a file's text with Unix line ends; see `read_limited`.

    Raises
    ------
    UnicodeDecodeError
        When it is not in this encoding.
    """
    return read_limited(path, limit).decode(encoding).replace("\r\n", "\n").replace("\r", "\n")


def read_json(path: Path, hint: str | None = None) -> Any:
    """Read strict JSON: no duplicate keys, no NaN, nothing that cannot be written again.

    Parameters
    ----------
    hint : str, optional
        What to do about a file that is missing or not JSON, where no stage wrote it.

    Raises
    ------
    DataError
        When the file is missing or not strict JSON.
    """
    try:
        content = read_limited(path, MAX_DATA_BYTES)
        # Programs of other systems write UTF-16, and a byte order mark before UTF-8.
        return parse_json(content.decode(json.detect_encoding(content)))
    except FileNotFoundError:
        raise DataError(
            "file is missing", where=path, hint=hint or "run `dvc repro` to build it"
        ) from None
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"not valid JSON ({error})",
            where=path,
            hint=hint or RESTORE,
        ) from None


def parse_json(text: str) -> Any:
    """Parse strict JSON; see `read_json`.

    Raises
    ------
    ValueError, RecursionError
        When it is not strict JSON.
    """
    value = json.loads(
        text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite
    )
    if "\\ud" in text.lower():
        # An escaped half of a character has no UTF-8.
        json.dumps(value, ensure_ascii=False).encode()
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    for key, value in pairs:
        if key in seen:
            raise ValueError(f"duplicate key {key!r}")
        seen[key] = value
    return seen


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]} is not a finite number")
    return number


def sha256_bytes(content: bytes) -> str:
    """Return the hex SHA-256 of `content`."""
    return hashlib.sha256(content).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the hex SHA-256 of a file, read in chunks."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def sha256_json(value: Any) -> str:
    """Return the hex SHA-256 of a JSON value in canonical form (sorted keys, no spaces)."""
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return sha256_bytes(text.encode())
