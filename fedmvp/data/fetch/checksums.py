"""Check a file against the checksums its catalog entry declares."""

from __future__ import annotations

import hashlib
from pathlib import Path

from fedmvp.data.source_spec import SourceFile
from fedmvp.errors import SourceError

__all__ = ["verify_file"]


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
