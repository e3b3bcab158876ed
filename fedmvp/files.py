"""Atomic, byte-reproducible files: JSON, CSV, bytes; and their hashes.

A reader never sees half a file: everything is written beside its target and renamed over it.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fedmvp.errors import DataError

__all__ = ["parse_json", "read_csv", "read_json", "remove_partial", "sha256_bytes", "sha256_file",
           "sha256_json", "write_bytes", "write_csv", "write_json", "write_text"]  # fmt: skip

_PARTIAL = ".partial"
_RESTORE = "restore the file, or delete it and run the stage again"


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` atomically, making parent folders.

    Raises
    ------
    OSError
        When the disk is full or the folder read-only; the old file is then untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:80]}.",
                                         suffix=_PARTIAL)  # fmt: skip
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes private files; outputs are as readable as any other file.
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
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
    text = json.dumps(value, sort_keys=sort_keys, indent=indent, ensure_ascii=False,
                      allow_nan=False)  # fmt: skip
    write_text(path, text + "\n")


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
        content = path.read_bytes()
        # Programs of other systems write UTF-16, and a byte order mark before UTF-8.
        return parse_json(content.decode(json.detect_encoding(content)))
    except FileNotFoundError:
        raise DataError("file is missing", where=path,
                        hint=hint or "run `dvc repro` to build it") from None  # fmt: skip
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"not valid JSON ({error})",
            where=path,
            hint=hint or _RESTORE,
        ) from None


def parse_json(text: str) -> Any:
    """Parse strict JSON; see `read_json`.

    Raises
    ------
    ValueError, RecursionError
        When it is not strict JSON.
    """
    value = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant,
                       parse_float=_finite)  # fmt: skip
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


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows with Unix line ends; floats in shortest round-trip form, None as empty."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, buffer.getvalue())


def read_csv(path: Path) -> list[dict[str, str]]:
    """Read a CSV file with a header line; every row has a cell for every column.

    Raises
    ------
    DataError
        When the file is missing or not such a table.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file, strict=True))
    except FileNotFoundError:
        raise DataError("file is missing", where=path,
                        hint="run `dvc repro` to build it") from None  # fmt: skip
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"not a CSV table ({error})", where=path, hint=_RESTORE) from None
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise DataError("row has not as many cells as the header", where=path,
                            value=f"row {number}", hint=_RESTORE)  # fmt: skip
    return rows


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
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False,
                      allow_nan=False)  # fmt: skip
    return sha256_bytes(text.encode())
