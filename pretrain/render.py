"""Render the chosen icons and the benchmark's images to RGBA arrays.

Outputs: `work/images.npy` (uint8 [n, size, size, 4], straight alpha, in the order of icons.jsonl),
`work/mono.npy` (bool [n]: drawn in black only) and `work/benchmark.npz`.
Run: `python -m pretrain.render`.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Sequence
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import resvg_py
from numpy.typing import NDArray
from PIL import Image

from pretrain.recipe import FOLDER, MADE, load_recipe
from pretrain.select import read_icons

__all__ = ["render", "render_many", "svg"]

_ICONS = MADE / "sources" / "icons"


@lru_cache(maxsize=8)
def _collection(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((_ICONS / f"{name}.json").read_text(encoding="utf-8"))
    return content


def svg(collection: dict[str, Any], slug: str) -> str:
    """Return the SVG text of an icon of an iconify collection, following an alias."""
    drawing = (
        collection["icons"].get(slug) or collection["icons"][collection["aliases"][slug]["parent"]]
    )
    box = [
        drawing.get(key, collection.get(key, default))
        for key, default in (("left", 0), ("top", 0), ("width", 16), ("height", 16))
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{box[0]} {box[1]} {box[2]} {box[3]}">{drawing["body"]}</svg>'
    )


def render(text: str, size: int) -> NDArray[np.uint8]:
    """Draw an SVG centred in a transparent square; a blank image where resvg cannot.

    Returns
    -------
    ndarray
        uint8 [size, size, 4].
    """
    canvas = Image.new("RGBA", (size, size))
    try:
        png = resvg_py.svg_to_bytes(svg_string=text, width=size, skip_system_fonts=True)
    except (ValueError, OSError):
        return np.asarray(canvas)
    picture = Image.open(io.BytesIO(bytes(png))).convert("RGBA")
    if picture.height > size:  # a tall icon: resvg took the width as given
        width = max(1, round(size * picture.width / picture.height))
        picture = picture.resize((width, size), Image.Resampling.LANCZOS)
    canvas.paste(picture, ((size - picture.width) // 2, (size - picture.height) // 2))
    return np.asarray(canvas)


def _job(item: tuple[str, str, int]) -> NDArray[np.uint8]:
    name, slug, size = item
    return render(svg(_collection(name), slug), size)


def render_many(icons: Sequence[tuple[str, str]], size: int, path: Path) -> NDArray[np.uint8]:
    """Render (set, slug) pairs in parallel into a memory-mapped .npy file."""
    array = np.lib.format.open_memmap(
        path, mode="w+", dtype=np.uint8, shape=(len(icons), size, size, 4)
    )
    with get_context("fork").Pool(os.cpu_count()) as pool:
        items = ((name, slug, size) for name, slug in icons)
        for row, picture in enumerate(pool.imap(_job, items, chunksize=256)):
            array[row] = picture
    array.flush()
    return array


def is_mono(images: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return which RGBA images are drawn in black only, bool [n]."""
    result = np.zeros(len(images), dtype=bool)
    for start in range(0, len(images), 4096):
        block = images[start : start + 4096]
        result[start : start + 4096] = (block[..., :3].max(-1) * (block[..., 3] > 40)).max(
            (1, 2)
        ) < 24
    return result


def benchmark_icons(styles: Sequence[str]) -> tuple[list[tuple[str, str]], list[list[int]]]:
    """List the benchmark's images.

    Returns
    -------
    icons, labels
        (style, slug) pairs, and for each [dataset index, class index, style index] in the order
        of benchmark.json.
    """
    classes = json.loads((FOLDER / "benchmark.json").read_text(encoding="utf-8"))
    icons: list[tuple[str, str]] = []
    labels: list[list[int]] = []
    for s, style in enumerate(styles):
        collection = _collection(style)
        slugs = [*collection["icons"], *collection.get("aliases", {})]
        by_letters = {slug.replace("-", ""): slug for slug in sorted(slugs)}
        for d, rows in enumerate(classes.values()):
            for c, (slug, _) in enumerate(rows):
                found = by_letters.get(slug.replace("-", ""))
                if found is not None:
                    icons.append((style, found))
                    labels.append([d, c, s])
    return icons, labels


def main() -> None:
    """Render everything."""
    rules = load_recipe().icons
    icons, labels = benchmark_icons(rules.benchmark)
    benchmark = render_many(icons, rules.size_px, MADE / "benchmark.npy")
    np.savez_compressed(
        MADE / "benchmark.npz",
        labels=np.array(labels, dtype=np.int32),
        blank=benchmark[..., 3].max((1, 2)) == 0,
    )
    chosen = [(icon.set, icon.slug) for icon in read_icons()]
    images = render_many(chosen, rules.size_px, MADE / "images.npy")
    np.save(MADE / "mono.npy", is_mono(images))
    print("benchmark", benchmark.shape, "training", images.shape)


if __name__ == "__main__":
    main()
