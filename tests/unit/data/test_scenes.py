"""Scenes composed from recipes, on drawings of the shipped archives and on small ones."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fedmvp.data.decode import check_image, decode_image
from fedmvp.data.scene_recipes import Placed, read_recipes, scene_hash
from fedmvp.data.scenes import cover_of, cut_out
from fedmvp.errors import DataError
from fedmvp.files import sha256_bytes
from tests.paths import ROOT

PINNED = "9af9ec806dcaf3ac5b49c5139bdd4aa57bbf1a6ffd31918c07b0a2f1a4b83960"
"""SHA-256 of ten composed scenes."""
GROUPS = ("activities", "animals", "food", "objects", "travel")


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scenes as a machine has them: recipes beside drawings."""
    base = tmp_path_factory.mktemp("scenes")
    (base / "scenes.json").write_bytes((ROOT / "data/emoji/scenes.json").read_bytes())
    for group in GROUPS:
        with zipfile.ZipFile(ROOT / "data/emoji" / f"{group}.zip") as archive:
            archive.extractall(base / "drawings" / group)
    return base


def test_ten_scenes_have_the_pixels_they_always_had(shipped: Path) -> None:
    """Whole numbers alone: the same on every machine. Composed twice, they are the same."""
    paths = [shipped / "scenes.json" / f"{number:05d}" for number in range(0, 5000, 500)]
    once = np.stack([decode_image(path, 128) for path in paths])
    assert sha256_bytes(once.tobytes()) == PINNED
    assert np.array_equal(once, np.stack([decode_image(path, 128) for path in paths]))


def test_a_scene_shows_its_objects_where_the_recipe_says(shipped: Path) -> None:
    """Each object's square holds colour, and nothing lies outside the squares."""
    recipes = read_recipes(shipped / "scenes.json")
    for number in range(0, 5000, 97):
        picture = decode_image(shipped / "scenes.json" / str(number), 128)
        coloured = (picture < 248).any(axis=-1)
        inside = np.zeros_like(coloured)
        for one in recipes.scenes[number].objects:
            square = slice(one.y, one.y + one.size), slice(one.x, one.x + one.size)
            assert coloured[square].mean() > 0.03, one
            inside[square] = True
        assert not coloured[~inside].any()


def test_size_is_honoured_and_the_head_can_be_checked(shipped: Path) -> None:
    path = shipped / "scenes.json" / "00001"
    assert decode_image(path, 64).shape == (64, 64, 3)
    check_image(path)
    assert scene_hash(path) == scene_hash(path.with_name("1"))
    assert scene_hash(path) != scene_hash(path.with_name("2"))


@pytest.mark.parametrize("name", ["05000", "-1", "x"])
def test_a_scene_that_is_not_there(shipped: Path, name: str) -> None:
    with pytest.raises(DataError, match="image is missing"):
        decode_image(shipped / "scenes.json" / name, 64)


def test_ground_is_cut_and_white_inside_stays() -> None:
    """A black ring around white: the ground goes, the white in its middle stays; edges fade."""
    pixels = np.full((16, 16, 3), 255, dtype=np.uint8)
    pixels[4:12, 4:12] = 0
    pixels[6:10, 6:10] = 255
    cover = cut_out(pixels)
    assert (cover[:4] == 0).all()
    assert (cover[5:11, 5:11] == 255).all()
    assert cover[4, 7] == 255 * 6 // 9  # two rows of three are drawn
    assert cover[4, 4] == 255 * 4 // 9


def write_scenes(base: Path, objects: list[list[int]], **changes: Any) -> Path:
    """Write one scene with red and blue squares on white, 8 pixels wide, and return its path."""
    for folder, colour in (("red", (255, 0, 0)), ("blue", (0, 0, 255))):
        place = base / "drawings" / "toys" / "flat" / folder
        place.mkdir(parents=True)
        pixels = np.full((8, 8, 3), 255, dtype=np.uint8)
        pixels[:, 4:] = colour
        Image.fromarray(pixels).save(place / f"{folder}.png")
    value = {
        "canvas": 16,
        "classes": ["toys/red", "toys/blue"],
        "styles": ["flat"],
        "scenes": [["default", "test", objects]],
    }
    (base / "scenes.json").write_text(json.dumps(value | changes))
    return base / "scenes.json" / "0"


def test_later_objects_lie_above_and_flip_mirrors(tmp_path: Path) -> None:
    """Red's right half at 4 to 8; blue, mirrored, over 4 to 8 of another square above it."""
    picture = decode_image(write_scenes(tmp_path, [[0, 0, 0, 0, 8, 0], [1, 0, 4, 4, 8, 1]]), 16)
    assert tuple(picture[1, 6]) == (255, 0, 0)
    assert tuple(picture[6, 6]) == (0, 0, 255)
    assert tuple(picture[10, 10]) == (255, 255, 255)
    cover = cover_of(Placed("toys/flat/red", 0, 0, 0, 16, False), tmp_path / "drawings")
    assert cover.shape == (16, 16)
    assert (cover[:, :7] == 0).all()
    assert (cover[4:12, 12] == 255).all()


@pytest.mark.parametrize(
    ("objects", "changes", "what"),
    [
        ([], {}, "scene 0 has no domain, part or object"),
        ([[0, 0, 0, 0, 8]], {}, "an object of scene 0 is not six whole numbers"),
        ([[0, 0, 0, 0, 8, 0.0]], {}, "an object of scene 0 is not six whole numbers"),
        ([[2, 0, 0, 0, 8, 0]], {}, "scene 0 names a class or style the file does not list"),
        ([[0, 0, 9, 0, 8, 0]], {}, "an object of scene 0 leaves the canvas"),
        ([[0, 0, 0, 0, 8, 0]] * 2, {}, "scene 0 shows a class twice"),
        ([[0, 0, 0, 0, 8, 0]], {"canvas": 10**9}, "canvas is not a whole number up to 1024"),
        ([[0, 0, 0, 0, 8, 0]], {"classes": ["../red", "x/y"]}, "'../red' is not a folder"),
        ([[0, 0, 0, 0, 8, 0]], {"classes": ["red", "x/y"]}, "a class is not <group>/<folder>"),
        ([[0, 0, 0, 0, 8, 0]], {"more": 1}, "keys are not canvas, classes, scenes and styles"),
    ],
)
def test_bad_recipes(
    tmp_path: Path, objects: list[list[int]], changes: dict[str, Any], what: str
) -> None:
    with pytest.raises(DataError, match="not a valid file of scenes") as caught:
        decode_image(write_scenes(tmp_path, objects, **changes), 16)
    assert what in str(caught.value)


def test_a_damaged_drawing(tmp_path: Path) -> None:
    path = write_scenes(tmp_path, [[0, 0, 0, 0, 8, 0]])
    (tmp_path / "drawings/toys/flat/red/red.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="a scene's drawing cannot be read"):
        decode_image(path, 16)
