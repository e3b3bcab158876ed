"""Scenes that are composed from recipes: their labels are the objects a recipe lists."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fedmvp.catalog.layouts import SceneRecipes
from fedmvp.catalog.spec import DatasetSpec
from fedmvp.data.readers.image_files import ImageFile, hint, missing
from fedmvp.data.scene_recipes import RECIPES, read_recipes
from fedmvp.errors import DataError

__all__ = ["scene_recipes"]


def scene_recipes(spec: DatasetSpec, layout: SceneRecipes, base: Path) -> Iterator[ImageFile]:
    """Read ``scenes.json``; scene 17 is the image ``scenes.json/00017``.

    Raises
    ------
    DataError
        When the file is missing or not valid, its classes or domains are not the catalog's, or a
        drawing is missing.
    """
    path = base / RECIPES
    if not path.is_file():
        raise missing(spec, path, "file of scenes")
    recipes = read_recipes(path)
    folders = tuple(entry.folder for entry in spec.classes)
    if recipes.classes != folders:
        stray = sorted(set(recipes.classes) ^ set(folders))
        raise DataError(
            "classes of the scenes are not the catalog's, in its order",
            where=path,
            value=stray[0] if stray else "another order",
            hint=hint(spec, path),
        )
    for drawing in sorted({one.drawing for scene in recipes.scenes for one in scene.objects}):
        file = base / "drawings" / drawing / f"{drawing.rpartition('/')[2]}.png"
        if not file.is_file():
            raise missing(spec, file, "drawing")
    size_bytes = path.stat().st_size
    for number, scene in enumerate(recipes.scenes):
        if scene.domain not in spec.domain_names:
            raise DataError(
                "scene has a domain that the catalog does not list",
                where=path,
                value=scene.domain,
                hint=hint(spec, path),
            )
        labels = tuple(sorted(one.label for one in scene.objects))
        yield ImageFile(f"{RECIPES}/{number:05d}", labels, scene.domain, size_bytes, scene.part)
