"""Datasets whose labels are MATLAB files (CoOp's DATASETS.md)."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fedmvp.catalog.layouts import CarsMat, FlowersMat, Part
from fedmvp.catalog.spec import DatasetSpec
from fedmvp.data.readers.image_files import ImageFile, hint, listed_image, missing
from fedmvp.errors import DataError
from fedmvp.files import read_limited

__all__ = ["cars_mat", "flowers_mat"]

_DAMAGED = (ValueError, KeyError, IndexError, TypeError, OSError, MemoryError, struct.error)
"""What scipy raises for other kinds of files, and for a missing key."""

_MAX_BYTES, _MAX_UNPACKED_BYTES = 64 << 20, 256 << 20
"""Real label files take a few megabytes; zlib can pack a thousand zeros into a byte."""
_HEADER_BYTES, _TAG_BYTES, _COMPRESSED = 128, 8, 15


def flowers_mat(spec: DatasetSpec, layout: FlowersMat, base: Path) -> Iterator[ImageFile]:
    """Read ``imagelabels.mat``: the class number, from 1, of ``image_00001.jpg`` and so on.

    CoOp ignores the official ``setid.mat``, and so do we.
    """
    path = base / "imagelabels.mat"
    for number, label in enumerate(_load(spec, path, "labels").reshape(-1), start=1):
        name = f"jpg/image_{number:05d}.jpg"
        yield _found(spec, base, name, int(label) - 1, path, None)


def cars_mat(spec: DatasetSpec, layout: CarsMat, base: Path) -> Iterator[ImageFile]:
    """Read ``devkit/cars_train_annos.mat`` and ``cars_test_annos_withlabels.mat``.

    The devkit's own test annotations have no classes.
    """
    files: tuple[tuple[Part, str, str], ...] = (
        ("trainval", "cars_train", "devkit/cars_train_annos.mat"),
        ("test", "cars_test", "cars_test_annos_withlabels.mat"),
    )
    for part, folder, file in files:
        path = base / file
        for row in _load(spec, path, "annotations").reshape(-1):
            name = f"{folder}/{row['fname'].item()}"
            yield _found(spec, base, name, int(row["class"].item()) - 1, path, part)


def _found(
    spec: DatasetSpec, base: Path, name: str, label: int, source: Path, part: Part | None
) -> ImageFile:
    if label not in range(len(spec.classes)):
        raise DataError(
            "class number is not one of the dataset's",
            where=source,
            value=label + 1,
            hint=hint(spec, source),
        )
    return listed_image(spec, base, name, label, part)


def _load(spec: DatasetSpec, path: Path, key: str) -> Any:
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    if not path.is_file():
        raise missing(spec, path, "label file")
    content = read_limited(path, _MAX_BYTES)
    try:
        _require_budget(content)
        return loadmat(io.BytesIO(content))[key]
    except (MatReadError, NotImplementedError, zlib.error, *_DAMAGED) as error:
        raise DataError(
            f"not the expected MATLAB file ({type(error).__name__}: {error})",
            where=path,
            hint=hint(spec, path),
        ) from None


def _require_budget(content: bytes) -> None:
    """Refuse a file whose compressed elements expand too far, before scipy unpacks them.

    Raises
    ------
    ValueError, struct.error, zlib.error
        When they do, or when they are damaged.
    """
    order = ">" if content[126:128] == b"MI" else "<"
    place, left = _HEADER_BYTES, _MAX_UNPACKED_BYTES
    while place + _TAG_BYTES <= len(content):
        kind, length = struct.unpack_from(f"{order}II", content, place)
        place += _TAG_BYTES
        if kind == _COMPRESSED:
            unpacked = zlib.decompressobj().decompress(content[place : place + length], left + 1)
            left -= len(unpacked)
            if left < 0:
                raise ValueError(f"expands to more than {_MAX_UNPACKED_BYTES >> 20} MiB")
        place += length
