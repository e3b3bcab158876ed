"""Files that ``torch.save`` or ``torch.jit.save`` wrote, read as data: no code in them ever runs.

The only place that calls ``torch.load``, always with ``weights_only``. A TorchScript archive, the
form of OpenAI's own CLIP files, is not given to ``torch.jit.load``, which compiles the archive's
program and runs parts of it: its tensors and table of contents are copied into an archive of the
plain kind, each class of the program becomes a bare holder of attributes, and whatever else the
table names is refused.
"""

from __future__ import annotations

import math
import re
import stat
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

__all__ = ["foreign_objects", "read_torch", "save_alone"]

_PROGRAM = "__torch__."
"""What the names of classes defined in a TorchScript archive begin with."""
_MOST_TIMES, _MOST_MORE_BYTES = 4, 1 << 20
"""Tensors may take so many times their file, for some share their values, and so much more."""
_FORMATS = frozenset(
    {
        torch.float64,
        torch.float32,
        torch.float16,
        torch.bfloat16,
        torch.int64,
        torch.int32,
        torch.int16,
        torch.int8,
        torch.uint8,
        torch.bool,
    }
)
"""Others can be stored, but not computed with."""
_LISTS = "torch.jit._pickle."
"""What the names of the functions begin with that give a list its type."""


class _Holder:
    """Stands for a module of the archive; its attributes are the module's."""


def _as_it_is(value: object, *_: object) -> object:
    """Stand for the functions that give a list its type."""
    return value


def read_torch(path: Path) -> Any:
    """Return what the file holds: of plain files the saved value, of TorchScript a state dict.

    A TorchScript archive does not say which of its tensors a state dict would leave out, so
    buffers that are not persistent are among them.

    Raises
    ------
    Exception
        Of many kinds, when the file is missing or damaged, or holds anything but plain values, or
        tensors far larger than itself.
    """
    size = path.stat().st_size
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("not a regular file")
    value = _read(path, size)
    _require_budget(value, _MOST_TIMES * size + _MOST_MORE_BYTES)
    return value


def _read(path: Path, size: int) -> Any:
    if not zipfile.is_zipfile(path):
        # The form before torch 1.6.
        return torch.load(path, map_location="cpu", weights_only=True)
    with zipfile.ZipFile(path) as archive:
        for record in archive.infolist():
            # torch stores tensors as they are; a compressed record could be of any size.
            if _is_data(record.filename) and record.compress_type != zipfile.ZIP_STORED:
                raise ValueError(f"record {record.filename!r} is compressed")
        # One stored record can be listed again and again; each would be read.
        data = (record for record in archive.infolist() if _is_data(record.filename))
        if sum(record.file_size for record in data) > size:
            raise ValueError("records overlap")
        program = any(name.endswith("/constants.pkl") for name in archive.namelist())
    if program:
        return _read_program(path)
    return torch.load(path, map_location="cpu", weights_only=True)


def foreign_objects(path: Path, error: Exception) -> list[str]:
    """Return the classes and functions a file needs beside tensors, sorted; none if it is no such.

    Parameters
    ----------
    error : Exception
        What `read_torch` raised; of files older than torch 1.6 it alone names one.
    """
    try:
        found = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception:  # not an archive of torch's
        found = re.findall(r"GLOBAL ([\w.]+)", str(error))
    return sorted({name for name in found if not name.startswith((_PROGRAM, _LISTS))})


def save_alone(path: Path) -> str:
    """Return how to get a file of tensors alone from a training checkpoint, as a hint."""
    return (
        "save the state dict alone, where you trust the file, for this runs what is in it: "
        f"c = torch.load({path.name!r}, weights_only=False); "
        "torch.save(c['state_dict'], 'weights.pt'), or c.state_dict() of a whole model"
    )


def _read_program(path: Path) -> dict[str, Tensor]:
    with tempfile.TemporaryFile() as plain:
        _copy_tensors(path, plain)
        with torch.serialization.safe_globals(list(_harmless(plain))):
            plain.seek(0)
            model = torch.load(plain, map_location="cpu", weights_only=True)
    return dict(_tensors(model, ""))


def _copy_tensors(path: Path, plain: IO[bytes]) -> None:
    """Write the records of the tensors as an archive that ``torch.save`` could have made."""
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(plain, "w") as out:
        for record in archive.namelist():
            if _is_data(record):
                out.writestr(f"model/{record.partition('/')[2]}", archive.read(record))


def _require_budget(value: Any, most_bytes: int) -> None:
    """Refuse tensors that a few bytes stand for: each would be copied in full."""
    rest, seen, total = [value], set[int](), 0
    while rest:
        value = rest.pop()
        if isinstance(value, Tensor):
            plain = value.layout is torch.strided and value.dtype in _FORMATS
            if not plain or value.device.type != "cpu":
                raise ValueError("a tensor is not a plain array of numbers")
            total += math.prod(value.shape) * value.element_size()
            if total > most_bytes:
                raise ValueError("tensors are far larger than the file")
        elif isinstance(value, dict | list | tuple | set) and id(value) not in seen:
            seen.add(id(value))
            rest += value
            rest += value.values() if isinstance(value, dict) else ()


def _is_data(record: str) -> bool:
    name = record.partition("/")[2]
    return name in ("data.pkl", "version", "byteorder") or name.startswith("data/")


def _harmless(plain: IO[bytes]) -> Iterator[Any]:
    """Yield what takes the place of the names in the table that torch does not know."""
    plain.seek(0)
    for name in torch.serialization.get_unsafe_globals_in_checkpoint(plain):
        if name.startswith(_PROGRAM):
            yield _Holder, name
        elif name.startswith(_LISTS):
            yield _as_it_is, name


def _tensors(value: Any, prefix: str) -> Iterator[tuple[str, Tensor]]:
    for name, child in vars(value).items():
        if isinstance(child, Tensor):
            yield f"{prefix}{name}", child
        elif isinstance(child, _Holder):
            yield from _tensors(child, f"{prefix}{name}.")
