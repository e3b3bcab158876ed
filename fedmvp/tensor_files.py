"""safetensors files read as data: every name once, only number formats that can be computed with.

The library takes a file that gives a name twice, the last one winning, and formats that torch can
store but not compute with: both are found in the header, before any tensor is made.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import IO, Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load
from torch import Tensor

from fedmvp.files import parse_json

__all__ = ["parse_header", "parse_tensors", "read_tensors"]

_MAX_HEADER_BYTES = 100_000_000  # the library's own bound
_MAX_BYTES = 64 << 30
"""Size limit; the largest known CLIP takes 10 GB."""
_LENGTH_BYTES = 8
_FORMATS = frozenset({"F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U8", "BOOL"})


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return a file's tensors by name, on the CPU, and its metadata.

    Raises
    ------
    OSError
        When the file cannot be read.
    ValueError
        When it is not such a file, or larger than any model.
    """
    with path.open("rb") as file:
        _check_header(file, path.stat().st_size)
    try:
        with safe_open(path, framework="pt") as tensors:
            found = {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118
            return found, dict(tensors.metadata() or {})
    except SafetensorError as error:
        raise ValueError(str(error)) from None


def parse_header(content: bytes) -> dict[str, Any]:
    """Return what a file's bytes say of its tensors, before any is made, and its metadata.

    Raises
    ------
    ValueError
        When they are not those of such a file.
    """
    return _check_header(io.BytesIO(content), len(content))


def parse_tensors(content: bytes) -> dict[str, Tensor]:
    """Return the tensors of a file's bytes by name.

    Raises
    ------
    ValueError
        When they are not those of such a file.
    """
    _check_header(io.BytesIO(content), len(content))
    try:
        found: dict[str, Tensor] = load(content)
    except SafetensorError as error:
        raise ValueError(str(error)) from None
    return found


def _check_header(file: IO[bytes], size: int) -> dict[str, Any]:
    if size > _MAX_BYTES:
        raise ValueError(f"larger than {_MAX_BYTES >> 30} GiB")
    length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
    if length > min(_MAX_HEADER_BYTES, size - _LENGTH_BYTES):
        raise ValueError("header is longer than the file, or than any")
    try:
        header = parse_json(file.read(length).decode())
    except RecursionError:
        raise ValueError("header is nested too deeply") from None
    if not isinstance(header, dict):
        raise ValueError("header is not a table")
    for name, entry in header.items():
        kind = entry.get("dtype") if isinstance(entry, dict) else None
        if name != "__metadata__" and kind not in _FORMATS:
            raise ValueError(f"tensor {name!r} is of format {kind!r}")
    return header
