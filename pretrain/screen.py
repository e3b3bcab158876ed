"""Find training icons that are copies of a benchmark image.

Two looks: a 64-bit perceptual hash (DCT of the 32 px grey image on white), and the root mean
square difference of 16 px RGB thumbnails. Either within its threshold drops the icon.
Outputs: `work/kept.npy` (bool [n]) and `work/screen.json` (counts).
Run: `python -m pretrain.screen`.
"""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
from numpy.typing import NDArray

from pretrain.recipe import WORK, load_recipe
from pretrain.select import read_icons

__all__ = ["nearest_hash", "nearest_thumb", "on_white", "phash", "thumbs"]

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
    parts = [_shrink(on_white(images[start : start + _BLOCK]), 16).reshape(-1, 768)
             for start in range(0, len(images), _BLOCK)]  # fmt: skip
    return np.concatenate(parts)


def nearest_hash(hashes: NDArray[np.uint64], among: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return the smallest Hamming distance of each hash to any of `among`, int64 [n]."""
    unique = np.unique(among)
    parts = [np.bitwise_count(hashes[start : start + 512, None] ^ unique[None]).min(1)
             for start in range(0, len(hashes), 512)]  # fmt: skip
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


def main() -> None:
    """Write which icons are kept, and the counts."""
    rules = load_recipe().screen
    icons = read_icons()
    images = np.load(WORK / "images.npy", mmap_mode="r")
    benchmark = np.load(WORK / "benchmark.npy")[~np.load(WORK / "benchmark.npz")["blank"]]
    bits = nearest_hash(phash(images), phash(benchmark))
    rms = nearest_thumb(thumbs(images), thumbs(benchmark))
    blank = np.array([images[i : i + _BLOCK, ..., 3].max((1, 2)) < 40
                      for i in range(0, len(images), _BLOCK)], dtype=object)  # fmt: skip
    blank = np.concatenate(list(blank)).astype(bool)
    same_hash, same_thumb = bits <= rules.phash_bits, rms <= rules.thumb_rms
    copies = (same_hash | same_thumb) & ~blank
    np.save(WORK / "kept.npy", ~copies & ~blank)
    report = {
        "icons": len(icons), "blank": int(blank.sum()), "copies": int(copies.sum()),
        "copies_by_hash": int((same_hash & ~blank).sum()),
        "copies_by_thumbnail": int((same_thumb & ~blank).sum()),
        "copies_by_set": dict(Counter(icons[i].set for i in np.flatnonzero(copies)).most_common()),
        "hash_distance_histogram": np.bincount(bits[~blank], minlength=16)[:16].tolist(),
    }  # fmt: skip
    (WORK / "screen.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({key: value for key, value in report.items() if key != "copies_by_set"}))
    print(dict(list(report["copies_by_set"].items())[:20]))


if __name__ == "__main__":
    main()
