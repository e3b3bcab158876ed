"""Decoded images as memory-mapped uint8 arrays: each list of images is decoded once per size.

A cache file's name is a hash of what determines its content, and the file appears in one rename, so
a killed run leaves no incomplete one. Only this module knows its format. Files may be deleted at
any time; the least recently used ones are deleted when the cache would exceed its limit.
"""

from __future__ import annotations

import math
import os
import secrets
import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np
import PIL
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from fedmvp.catalog.spec import load_spec
from fedmvp.data.capture import photograph
from fedmvp.data.decode import decode_image
from fedmvp.data.fetch.progress import tell
from fedmvp.data.manifest import Image, Manifest
from fedmvp.data.readers.layout import locate
from fedmvp.data.sources import ensure_raw
from fedmvp.data.splits import Split
from fedmvp.errors import ConfigError, DataError
from fedmvp.files import sha256_json
from fedmvp.interruption import raise_if_stopped
from fedmvp.paths import cache_root

__all__ = [
    "DEFAULT_LIMIT_GIB",
    "cache_limit_bytes",
    "load_images",
    "make_room",
    "mark_used",
    "raw_folder",
]

_MUCH_BYTES = 1 << 30

_FORMAT = 1
"""Increased when the preprocessing changes, so that old cache files are not used."""


def raw_folder(dataset: str) -> Path:
    """Return the folder from which a manifest's image paths start, fetching images if necessary.

    This counts the folder's files, so callers with many lists of images should keep the result.

    Raises
    ------
    SourceError
        When the raw images are missing and cannot be fetched.
    """
    spec = load_spec(dataset)
    return locate(spec, ensure_raw(spec)).base


def load_images(
    manifest: Manifest,
    ids: Sequence[str],
    size_px: int,
    split: Split | Literal["all"],
    folder_of: Callable[[str], Path] = raw_folder,
) -> NDArray[np.uint8]:
    """Return decoded images, from the cache if they are in it.

    Parameters
    ----------
    ids : sequence of str
        Images of this manifest, in the desired order.
    size_px : int
        Side of the square the model sees.
    split : {"train", "val", "test", "all"}
        The split in which all images must be: a test image requested for training is a bug. "all"
        is for settings split by domain (`fedmvp.partition.model.Partition.train_split`).
    folder_of : callable
        Returns the folder of the raw images; called only if images have to be decoded.

    Returns
    -------
    ndarray of uint8, shape (len(ids), size_px, size_px, 3)
        RGB, changed by the camera of their domain if the manifest has one. Memory-mapped,
        copy-on-write: rows are read when accessed, and changes stay private.

    Raises
    ------
    DataError
        When an image is unknown, not in `split`, or cannot be decoded.
    SourceError
        See `raw_folder`.
    """
    images = [manifest.image(image_id) for image_id in ids]
    if split != "all" and (stray := next((i for i in images if i.split != split), None)):
        raise DataError(
            f"image is not in split {split!r} but in {stray.split!r}",
            where=manifest.dataset,
            value=stray.id,
            hint="run `dvc repro`: the partition is older than the manifest",
        )
    shape = (len(images), size_px, size_px, 3)
    if not images:
        return np.empty(shape, dtype=np.uint8)
    key = sha256_json(
        [_FORMAT, PIL.__version__, manifest.content, size_px, [i.path for i in images]]
    )
    cache = cache_root() / "images"
    path = cache / f"{manifest.dataset}-{size_px}px" / f"{key[:32]}.npy"
    cached = _open(path, shape)
    if cached is None:
        base = folder_of(manifest.dataset)
        _announce(manifest.dataset, shape, cache)
        _write_rows(path, shape, lambda array: _decode(manifest, images, base, array))
        cached = _open(path, shape)
    if cached is None:
        raise DataError(
            "image cache cannot be read back",
            where=path,
            hint="check the disk, or set FEDMVP_CACHE to another folder",
        )
    return cached


def _open(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
    try:
        array: NDArray[np.uint8] = np.load(path, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    if array.shape != shape or array.dtype != np.uint8:
        return None  # not as written: an older format, or damaged
    mark_used(path)
    return array


def _announce(dataset: str, shape: tuple[int, ...], cache: Path) -> None:
    """Make room for an array, and report its size if it is large."""
    need = math.prod(shape)
    make_room(cache, need)
    if need >= _MUCH_BYTES:
        tell(f"{dataset}: decoding {shape[0]:,} images into {need / 2**30:.1f} GiB below {cache}")


def _decode(
    manifest: Manifest, images: Sequence[Image], base: Path, array: NDArray[np.uint8]
) -> None:
    """Decode each image into its row, and apply its domain's camera."""

    def fill(row: int) -> None:
        image = images[row]
        pixels = decode_image(base / image.path, array.shape[1])
        camera = manifest.capture.get(image.domain)
        array[row] = pixels if camera is None else photograph(pixels, camera, image.id)

    # Pillow and numpy release the interpreter lock while they decode, resize and compute.
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for _ in pool.map(fill, range(len(images))):
            raise_if_stopped()


def _write_rows(
    path: Path, shape: tuple[int, ...], fill: Callable[[NDArray[np.uint8]], None]
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not with tempfile, whose files are private: other users may share the cache.
    temporary = path.with_name(f".partial-{secrets.token_hex(8)}")
    try:
        array = open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
        fill(array)
        array.flush()
        temporary.replace(path)
    except OSError as error:
        raise DataError(
            f"image cache cannot be written ({error})",
            where=path.parent,
            hint="free disk space, or set FEDMVP_CACHE to another folder",
        ) from None
    finally:
        temporary.unlink(missing_ok=True)


GIB = 1 << 30
DEFAULT_LIMIT_GIB = 100.0
"""Enough for every image list of the paper at 224 pixels, except all of DomainNet at once."""

_SPARE_BYTES = 1 << 28
"""Space left free on the disk for everything else that a run writes."""

_ABANDONED_S = 24 * 3600
"""Age after which an unfinished file is taken to be a killed process's."""


def cache_limit_bytes() -> int:
    """Return the most bytes that decoded images may take.

    Raises
    ------
    ConfigError
        When ``FEDMVP_CACHE_GIB`` is not a positive number.
    """
    given = os.environ.get("FEDMVP_CACHE_GIB") or str(DEFAULT_LIMIT_GIB)
    try:
        limit = float(given)
    except ValueError:
        limit = math.nan
    if not (math.isfinite(limit) and limit > 0):
        raise ConfigError(
            "not a positive number",
            where="environment variable FEDMVP_CACHE_GIB",
            value=given,
            hint=f"set the GiB that decoded images may take, or unset it for {DEFAULT_LIMIT_GIB:g}",
        )
    return int(limit * GIB)


def mark_used(path: Path) -> None:
    """Record that a file was used just now, unless the cache is read-only."""
    try:
        os.utime(path)
    except OSError:
        return


def make_room(root: Path, need_bytes: int) -> None:
    """Remove files below `root`, least recently used first, until `need_bytes` fit.

    Raises
    ------
    DataError
        When they cannot fit: they exceed the limit, or other files fill the disk.
    """
    root.mkdir(parents=True, exist_ok=True)
    limit = cache_limit_bytes()
    files = sorted(_files(root), key=lambda entry: entry[1])
    total = sum(size for _, _, size in files)
    free = shutil.disk_usage(root).free
    for path, used, size in files:
        abandoned = path.name.startswith(".") and time.time() - used > _ABANDONED_S
        full = total + need_bytes > limit or need_bytes + _SPARE_BYTES > free
        if abandoned or (full and not path.name.startswith(".")):
            path.unlink(missing_ok=True)
            total, free = total - size, free + size
    if need_bytes > limit or need_bytes + _SPARE_BYTES > free:
        what, most = ("cache limit", limit) if need_bytes > limit else ("free disk space", free)
        raise DataError(
            f"decoded images need {need_bytes / GIB:.1f} GiB, more than the {what}",
            where=root,
            value=f"{most / GIB:.1f} GiB",
            hint="set FEDMVP_CACHE to a folder on a larger disk, or raise FEDMVP_CACHE_GIB",
        )


def _files(root: Path) -> list[tuple[Path, float, int]]:
    """Return path, time of last use and size of each file."""
    found = []
    for path in root.rglob("*"):
        try:
            state = path.stat()
        except FileNotFoundError:  # removed by another process
            continue
        if path.is_file():
            found.append((path, state.st_mtime, state.st_size))
    return found
