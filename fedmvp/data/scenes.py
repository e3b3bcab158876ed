"""Compose a scene from its recipe: drawings cut out of their white background, put on a canvas.

All arithmetic uses whole numbers, or products of whole numbers that float64 represents exactly, so
a scene has the same bytes on every machine. Drawings are in ``drawings/<group>/<style>/<folder>``
beside the file of recipes, as in the emoji archives: on white, without transparency. Pixels that
are nearly white and connected to the border are background, so white inside a drawing stays (eyes,
rice).

Shapes: P side of a drawing, S side of an object on the canvas.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fedmvp.data.scene_recipes import Placed, Recipes, Scene, scene_at
from fedmvp.errors import DataError

__all__ = ["compose", "compose_at", "cover_of", "cut_out"]

_NEARLY_WHITE = 248
"""Smallest value of all three channels of a pixel that may be background."""
_WHITE = 255


def compose_at(path: Path) -> Image.Image:
    """Return the scene a path names, ``.../scenes.json/17``.

    Raises
    ------
    FileNotFoundError
        When there is no such scene.
    DataError
        When the recipes are not valid, or a drawing is missing or damaged.
    """
    recipes, scene = scene_at(path)
    return Image.fromarray(compose(recipes, scene, path.parent.parent / "drawings"))


def compose(recipes: Recipes, scene: Scene, drawings: Path) -> NDArray[np.uint8]:
    """Return the picture of a scene, [canvas, canvas, 3].

    Parameters
    ----------
    drawings : Path
        Folder of the groups of drawings.
    """
    canvas = np.full((recipes.canvas, recipes.canvas, 3), _WHITE, dtype=np.int64)
    for placed in scene.objects:
        colour, cover = _scaled(placed, drawings)
        rows, columns = (slice(start, start + placed.size) for start in (placed.y, placed.x))
        below = canvas[rows, columns]
        canvas[rows, columns] = (colour + (_WHITE - cover) * below + _WHITE // 2) // _WHITE
    return canvas.astype(np.uint8)


def cover_of(placed: Placed, drawings: Path) -> NDArray[np.int64]:
    """Return how much an object hides what is below it, 0 to 255, [S, S]."""
    return _scaled(placed, drawings)[1][..., 0]


def cut_out(pixels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return how much each pixel belongs to the drawing, 0 to 255, [P, P].

    The outermost pixels of a drawing fade with the share of background around them.

    Parameters
    ----------
    pixels : ndarray of uint8, shape [P, P, 3]
    """
    white: NDArray[np.bool_] = np.all(pixels >= _NEARLY_WHITE, axis=-1)
    ground = np.pad(np.zeros(white.shape, dtype=bool), 1, constant_values=True)
    inside = ground[1:-1, 1:-1]
    before = -1
    while before != (before := int(np.count_nonzero(inside))):
        inside |= white & (
            ground[:-2, 1:-1] | ground[2:, 1:-1] | ground[1:-1, :-2] | ground[1:-1, 2:]
        )
    drawn = np.pad(~inside, 1).astype(np.int64)
    side = len(white)
    around = sum(
        drawn[top : top + side, left : left + side] for top in range(3) for left in range(3)
    )
    cover: NDArray[np.int64] = np.where(inside, 0, _WHITE * around // 9)
    return cover


def _scaled(placed: Placed, drawings: Path) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return colour times cover, [S, S, 3], and cover, [S, S, 1], at the object's size."""
    layers = _layers(drawings, placed.drawing)
    side = layers.shape[1]
    shares = _shares(side, placed.size)
    # First rows, then columns: sums of products of whole numbers, below 2**53.
    scaled = (shares @ layers @ shares.T).astype(np.int64)
    scaled = (scaled + side * side // 2) // (side * side)
    if placed.flip:
        scaled = scaled[:, :, ::-1]
    planes = np.moveaxis(scaled, 0, -1)
    return planes[..., :3], planes[..., 3:]


@lru_cache(maxsize=2048)
def _layers(drawings: Path, drawing: str) -> NDArray[np.float64]:
    """Return red, green and blue, each times cover, and cover of a drawing, [4, P, P]."""
    path = drawings / drawing / f"{drawing.rpartition('/')[2]}.png"
    try:
        with Image.open(path, formats=["PNG"]) as opened:
            pixels = np.asarray(opened.convert("RGB"), dtype=np.uint8)
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(
            f"a scene's drawing cannot be read ({error})",
            where=path,
            hint="rename the dataset's folder to have it made once more",
        ) from None
    cover = cut_out(pixels)
    layers = np.stack([*np.moveaxis(pixels * cover[..., np.newaxis], -1, 0), cover])
    return layers.astype(np.float64)


@lru_cache(maxsize=256)
def _shares(source: int, size: int) -> NDArray[np.float64]:
    """Return how much of each pixel of `source` is in each pixel of `size`, [size, source].

    The unit is such that a pixel of `size` has `source` parts, so rows sum to `source`.
    """
    starts, ends = np.arange(size)[:, np.newaxis] * source, np.arange(source) * size
    low, high = np.maximum(starts, ends), np.minimum(starts + source, ends + size)
    shared: NDArray[np.float64] = np.maximum(high - low, 0).astype(np.float64)
    return shared
