"""Find training icons that are copies of a benchmark image.

Exact copies show the same pixels. Near ones are found by two looks: a 64-bit perceptual hash (DCT
of the 32 px grey image on white), and the root mean square difference of 16 px RGB thumbnails.
Either within its threshold drops the icon. Styles of the benchmark were left out by name before.
Outputs: `work/kept.npy` (bool [n]) and `work/screen.json` (counts).
Run: `python -m pretrain.screen`.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedmvp.files import write_json
from pretrain.recipe import MADE, Screen, load_recipe
from pretrain.select import read_icons

__all__ = ["Screened", "compare", "leakage", "nearest_hash", "nearest_thumb", "phash", "thumbs"]

_BLOCK = 2048


def on_white(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Compose RGBA uint8 [n, s, s, 4] on white, float32 [n, s, s, 3] in [0, 1]."""
    rgb = images[..., :3].astype(np.float32) / np.float32(255)
    alpha = images[..., 3:].astype(np.float32) / np.float32(255)
    return np.asarray(rgb * alpha + (1 - alpha), dtype=np.float32)


def _shrink(images: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    n, side = images.shape[:2]
    step = side // size
    blocks = images.reshape(n, size, step, size, step, -1)
    return np.asarray(blocks.mean((2, 4), dtype=np.float32))


def phash(images: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return the 64-bit perceptual hash of each RGBA image, uint64 [n].

    The bits tell which of the 8x8 lowest cosine coefficients (the mean left out) exceed their
    median.
    """
    k, x = np.arange(8), np.arange(32)
    basis = np.cos(np.pi * (2 * x[None] + 1) * k[:, None] / 64).astype(np.float32)
    hashes = np.zeros(len(images), dtype=np.uint64)
    weights = np.uint64(1) << np.arange(64, dtype=np.uint64)
    for start in range(0, len(images), _BLOCK):
        grey = _shrink(on_white(images[start : start + _BLOCK]).mean(-1, keepdims=True), 32)[..., 0]
        low = np.einsum("ij,njk,lk->nil", basis, grey, basis).reshape(len(grey), 64)
        low[:, 0] = 0
        bits = low > np.median(low, axis=1, keepdims=True)
        hashes[start : start + _BLOCK] = (bits * weights).sum(1, dtype=np.uint64)
    return hashes


def thumbs(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return 16 px RGB thumbnails on white, float32 [n, 768]."""
    parts = [
        _shrink(on_white(images[start : start + _BLOCK]), 16).reshape(-1, 768)
        for start in range(0, len(images), _BLOCK)
    ]
    return np.concatenate(parts)


def nearest_hash(hashes: NDArray[np.uint64], among: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return the smallest Hamming distance of each hash to any of `among`, int64 [n]."""
    unique = np.unique(among)
    parts = [
        np.bitwise_count(hashes[start : start + 512, None] ^ unique[None]).min(1)
        for start in range(0, len(hashes), 512)
    ]
    return np.concatenate(parts).astype(np.int64)


def nearest_thumb(rows: NDArray[np.float32], among: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the smallest RMS difference of each thumbnail to any of `among`, float32 [n]."""
    norms = (among**2).sum(1)
    parts = []
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        square = (block**2).sum(1)[:, None] + norms[None] - 2 * block @ among.T
        parts.append(np.sqrt(np.maximum(square.min(1), 0) / rows.shape[1]))
    return np.concatenate(parts).astype(np.float32)


def pixel_keys(images: NDArray[np.uint8]) -> list[bytes]:
    """Return a digest of each RGBA image as seen on white: equal for equal pictures alone."""
    keys = []
    for start in range(0, len(images), _BLOCK):
        seen = np.rint(on_white(images[start : start + _BLOCK]) * 255).astype(np.uint8)
        keys += [hashlib.sha256(picture.tobytes()).digest() for picture in seen]
    return keys


def is_blank(images: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return which RGBA images show (nearly) nothing, bool [n]."""
    parts = [
        images[start : start + _BLOCK, ..., 3].max((1, 2)) < 40
        for start in range(0, len(images), _BLOCK)
    ]
    return np.concatenate(parts)


@dataclass(frozen=True)
class Screened:
    """What was found about each icon, bool [n] each, and its nearest hash, int64 [n].

    A copy is an icon that shows something and is near by hash or thumbnail; some are exact.
    """

    blank: NDArray[np.bool_]
    exact: NDArray[np.bool_]
    near_hash: NDArray[np.bool_]
    near_thumb: NDArray[np.bool_]
    bits: NDArray[np.int64]

    @property
    def copies(self) -> NDArray[np.bool_]:
        """Icons that are dropped for what they show."""
        return (self.near_hash | self.near_thumb) & ~self.blank

    @property
    def kept(self) -> NDArray[np.bool_]:
        """Icons to train on."""
        return ~self.copies & ~self.blank


def compare(images: NDArray[np.uint8], benchmark: NDArray[np.uint8], rules: Screen) -> Screened:
    """Compare each RGBA icon with all (not blank) images of the benchmark."""
    bits = nearest_hash(phash(images), phash(benchmark))
    near_hash = bits <= rules.phash_bits
    near_thumb = nearest_thumb(thumbs(images), thumbs(benchmark)) <= rules.thumb_rms
    exact = np.zeros(len(images), dtype=bool)
    near = np.flatnonzero(near_hash | near_thumb)  # exact copies differ in nothing, so are here
    shown = set(pixel_keys(benchmark))
    exact[near] = [key in shown for key in pixel_keys(images[near])]
    return Screened(is_blank(images), exact, near_hash, near_thumb, bits)


def leakage(found: Screened, sets: Sequence[str]) -> dict[str, Any]:
    """Return the counts that the model card shows; `sets` names each icon's set."""
    copies, exact = found.copies, found.exact & ~found.blank
    names = np.array(sets)
    by_set = {
        name: {
            "exact": int(exact[names == name].sum()),
            "near": int((copies & ~exact)[names == name].sum()),
        }
        for name, _ in Counter(names[copies].tolist()).most_common()
    }
    return {
        "icons": len(copies),
        "blank": int(found.blank.sum()),
        "copies": int(copies.sum()),
        "exact": int(exact.sum()),
        "by_hash": int((found.near_hash & ~found.blank).sum()),
        "by_thumbnail": int((found.near_thumb & ~found.blank).sum()),
        "by_set": by_set,
        "hash_distance_histogram": np.bincount(found.bits[~found.blank], minlength=16)[
            :16
        ].tolist(),
    }


def main() -> None:
    """Write which icons are kept, and the counts."""
    images = np.load(MADE / "images.npy", mmap_mode="r")
    benchmark = np.load(MADE / "benchmark.npy")[~np.load(MADE / "benchmark.npz")["blank"]]
    found = compare(images, benchmark, load_recipe().screen)
    np.save(MADE / "kept.npy", found.kept)
    report = leakage(found, [icon.set for icon in read_icons()])
    write_json(MADE / "screen.json", report, sort_keys=False)
    print({key: value for key, value in report.items() if key != "by_set"})


if __name__ == "__main__":
    main()
