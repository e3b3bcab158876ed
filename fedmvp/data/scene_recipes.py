"""Recipes of scenes: which drawings are where on a white canvas.

A file ``scenes.json`` holds many scenes; scene number 17 of it is the image ``scenes.json/17``.
Recipes take a hundredth of the space of the images, and avoid distributing images that mix drawings
with different licences (`fedmvp.data.scenes` composes them).

.. code-block:: text

    {"canvas": 128, "classes": ["animals/ant", …], "styles": ["noto", …], "scenes": [
    ["site-1", "train", [[0, 3, 12, 70, 52, 1], …]],

Each object is [class, style, x, y, size, flip]: numbers of its class and style, its left and upper
edge and its side in pixels of the canvas, and whether it is mirrored (1).
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, get_args

from fedmvp.catalog.layouts import Part
from fedmvp.errors import DataError
from fedmvp.files import read_json, sha256_json

__all__ = [
    "RECIPES",
    "Placed",
    "Recipes",
    "Scene",
    "is_scene",
    "read_recipes",
    "scene_at",
    "scene_hash",
]

RECIPES = "scenes.json"
"""Name of every file of recipes; a path "inside" it is a scene, not a file."""

MAX_CANVAS_PX = 1024
_HINT = "restore the file: it is written by data/emoji/build_scenes.py"
_PARTS: tuple[str, ...] = get_args(Part)


@dataclass(frozen=True, slots=True)
class Placed:
    """An object on a canvas.

    Attributes
    ----------
    drawing : str
        ``<group>/<style>/<folder>``: what is drawn.
    label : int
        Number of its class among the file's.
    x, y, size : int
        Left and upper edge, and side, in pixels of the canvas.
    flip : bool
        Whether it is mirrored left to right.
    """

    drawing: str
    label: int
    x: int
    y: int
    size: int
    flip: bool


@dataclass(frozen=True, slots=True)
class Scene:
    """One scene: its domain, its part, and its objects from bottom to top."""

    domain: str
    part: Part
    objects: tuple[Placed, ...]


@dataclass(frozen=True)
class Recipes:
    """The scenes of one file.

    Attributes
    ----------
    canvas : int
        Side of every canvas in pixels.
    classes : tuple of str
        Folder of each class, ``<group>/<folder>``, by its number.
    """

    canvas: int
    classes: tuple[str, ...]
    scenes: tuple[Scene, ...]


def is_scene(path: Path) -> bool:
    """Tell by its name whether a path is a scene of a file of recipes."""
    return path.parent.name == RECIPES


def scene_at(path: Path) -> tuple[Recipes, Scene]:
    """Return the scene a path names, and the file it is in.

    Raises
    ------
    FileNotFoundError
        When there is no such file, or no scene of this number in it.
    DataError
        When the file is not valid (`read_recipes`).
    """
    state = path.parent.stat()
    recipes = _cached(path.parent, state.st_mtime_ns, state.st_size)
    number = path.name
    if not number.isdecimal() or int(number) >= len(recipes.scenes):
        raise FileNotFoundError(path)
    return recipes, recipes.scenes[int(number)]


def scene_hash(path: Path) -> str:
    """Return a hash of a scene's objects; scenes with equal hashes look the same."""
    return sha256_json([astuple(one) for one in scene_at(path)[1].objects])


@lru_cache(maxsize=4)
def _cached(path: Path, _changed_ns: int, _size_bytes: int) -> Recipes:
    return read_recipes(path)


def read_recipes(path: Path) -> Recipes:
    """Read and validate a file of recipes.

    Raises
    ------
    DataError
        When it is missing, not as described above, or an object leaves its canvas.
    """
    value = read_json(path, _HINT)
    try:
        if sorted(value) != ["canvas", "classes", "scenes", "styles"]:
            raise ValueError("keys are not canvas, classes, scenes and styles")
        canvas, classes, styles = value["canvas"], value["classes"], value["styles"]
        if type(canvas) is not int or not 1 <= canvas <= MAX_CANVAS_PX:
            raise ValueError(f"canvas is not a whole number up to {MAX_CANVAS_PX}")
        for name in (*classes, *styles):
            if not isinstance(name, str) or name.startswith("/") or ".." in name.split("/"):
                raise ValueError(f"{name!r} is not a folder")
        if any(name.count("/") != 1 for name in classes):
            raise ValueError("a class is not <group>/<folder>")
        scenes = tuple(
            _scene(number, row, canvas, classes, styles)
            for number, row in enumerate(value["scenes"])
        )
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"not a valid file of scenes ({error})", where=path, hint=_HINT) from None
    return Recipes(canvas, tuple(classes), scenes)


def _scene(number: int, row: Any, canvas: int, classes: list[str], styles: list[str]) -> Scene:
    domain, part, objects = row
    if not isinstance(domain, str) or part not in _PARTS or not objects:
        raise ValueError(f"scene {number} has no domain, part or object")
    placed = []
    for entry in objects:
        if len(entry) != 6 or any(type(value) is not int for value in entry):
            raise ValueError(f"an object of scene {number} is not six whole numbers")
        label, style, x, y, size, flip = entry
        if (
            label not in range(len(classes))
            or style not in range(len(styles))
            or flip not in (0, 1)
        ):
            raise ValueError(f"scene {number} names a class or style the file does not list")
        if size < 1 or min(x, y) < 0 or max(x, y) + size > canvas:
            raise ValueError(f"an object of scene {number} leaves the canvas")
        group, folder = classes[label].split("/")
        placed.append(Placed(f"{group}/{styles[style]}/{folder}", label, x, y, size, flip == 1))
    if len({one.label for one in placed}) != len(placed):
        raise ValueError(f"scene {number} shows a class twice")
    return Scene(domain, part, tuple(placed))
