"""Decoded images as memory-mapped uint8 arrays: each list of images is decoded once per size.

A cache file is named by what determines its content and appears in one rename, so a killed run
leaves none that is incomplete. Nothing else knows its format: it may be deleted at any time, and
the least recently used files are where the cache would outgrow its limit (`fedmvp.data.cache`).
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np
import PIL
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from fedmvp.data.cache import make_room, mark_used
from fedmvp.data.capture import photograph
from fedmvp.data.decode import decode_image
from fedmvp.data.fetch.progress import tell
from fedmvp.data.manifest import Image, Manifest
from fedmvp.data.paths import cache_root
from fedmvp.data.readers.layout import locate
from fedmvp.data.sources import ensure_raw
from fedmvp.data.spec import load_spec
from fedmvp.data.splits import Split
from fedmvp.errors import DataError
from fedmvp.files import sha256_json
from fedmvp.interruption import raise_if_stopped
from fedmvp.shortcuts import Shortcuts

__all__ = ["load_images", "raw_folder"]

_MUCH_BYTES = 1 << 30

_FORMAT = 1
"""Raised when the preprocessing changes, so that old cache files are not used."""


def raw_folder(dataset: str) -> Path:
    """Return the folder a manifest's image paths start from, fetching the images if need be.

    It counts the folder's files, so callers with many lists of images keep what it returns.

    Raises
    ------
    SourceError
        When the raw images are gone and cannot be fetched again.
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
    """Return decoded images, from the cache where they are in it.

    Parameters
    ----------
    ids : sequence of str
        Images of this manifest, in the order wanted.
    size_px : int
        Side of the square the model sees.
    split : {"train", "val", "test", "all"}
        The split all images must be in: training that asks for a test image is a bug. "all" is
        for settings that split by domain (`fedmvp.settings.partition.Partition.train_split`).
    folder_of : callable
        Asked for the folder of the raw images where they have to be decoded.

    Returns
    -------
    ndarray of uint8, shape (len(ids), size_px, size_px, 3)
        RGB, through the camera of their domain where the manifest names one. Memory-mapped copy on
        write: rows are read when touched, and changes stay private. Plainly in memory under
        ``FEDMVP_PLAIN=image_cache``.

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
    if not Shortcuts.from_environment().image_cache:
        array = np.empty(shape, dtype=np.uint8)
        _decode(manifest, images, folder_of(manifest.dataset), array)
        return array
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
    """Make room for an array, and say what it takes where that is much."""
    need = math.prod(shape)
    make_room(cache, need)
    if need >= _MUCH_BYTES:
        tell(f"{dataset}: decoding {shape[0]:,} images into {need / 2**30:.1f} GiB below {cache}")


def _decode(
    manifest: Manifest, images: Sequence[Image], base: Path, array: NDArray[np.uint8]
) -> None:
    """Decode each image into its row, and take it through its domain's camera."""

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
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".partial-")
    os.close(handle)
    temporary = Path(name)
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
