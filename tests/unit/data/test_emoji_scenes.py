"""What the shipped scenes must be for a number measured on them to mean something."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import chisquare

from fedmvp.attributes.store import AnswerStore
from fedmvp.catalog.spec import load_spec
from fedmvp.data.build import build_manifest
from fedmvp.data.scene_recipes import Recipes, Scene, read_recipes
from tests.paths import ROOT

SCENES = ROOT / "data/emoji/scenes.json"
FLUENT = ("fluent-emoji", "fluent-emoji-flat", "fluent-emoji-high-contrast")


@pytest.fixture(scope="module")
def recipes() -> Recipes:
    return read_recipes(SCENES)


def some(recipes: Recipes, keep: Callable[[Scene], bool]) -> list[Scene]:
    return [scene for scene in recipes.scenes if keep(scene)]


def site_tests(recipes: Recipes) -> list[Scene]:
    return some(recipes, lambda s: s.domain.startswith("site-") and s.part == "test")


def test_labels_of_the_manifest_are_the_objects_of_the_recipe(
    machine: Path, recipes: Recipes
) -> None:
    spec = load_spec("scenes")
    manifest = build_manifest(spec, split_seed=1)
    assert len(manifest.images) == len(recipes.scenes) == 5000
    for image in manifest.images:
        scene = recipes.scenes[int(image.path.rpartition("/")[2])]
        assert set(image.labels) == {one.label for one in scene.objects}
        assert (image.domain, image.split) == (scene.domain, scene.part)
    assert len(manifest.unseen) == 20 and len(manifest.classes) == 80
    through = build_manifest(spec, split_seed=1, capture=1.0)
    assert set(through.capture) == set(spec.domain_names)
    assert through.content != manifest.content


def test_no_drawing_is_shared_by_train_and_test(recipes: Recipes) -> None:
    """Neither by name nor by pixels; Fluent's renderings of one drawing are all in the test."""
    drawings = {
        part: {o.drawing for s in recipes.scenes if s.part == part for o in s.objects}
        for part in ("train", "test")
    }
    assert not drawings["train"] & drawings["test"]
    assert not any(name.split("/")[1] in FLUENT for name in drawings["train"])
    pixels = {part: {_file(name) for name in names} for part, names in drawings.items()}
    assert not pixels["train"] & pixels["test"]
    # Nor do two classes share one.
    assert all(len(pixels[part]) == len(drawings[part]) for part in pixels)


def _file(drawing: str) -> bytes:
    group, style, folder = drawing.split("/")
    with zipfile.ZipFile(ROOT / "data/emoji" / f"{group}.zip") as archive:
        return archive.read(f"{style}/{folder}/{folder}.png")


def test_unseen_classes_are_in_no_training_scene(recipes: Recipes) -> None:
    spec = load_spec("scenes")
    unseen = {label for label, name in enumerate(spec.class_names) if name in spec.unseen}

    def shown(scenes: Iterable[Scene]) -> set[int]:
        return {one.label for scene in scenes for one in scene.objects}

    assert not shown(some(recipes, lambda s: s.part == "train")) & unseen
    assert not shown(site_tests(recipes)) & unseen
    assert shown(some(recipes, lambda s: s.domain == "zsl")) == unseen
    assert shown(some(recipes, lambda s: s.domain == "gzsl")) == set(range(80))


def test_every_class_is_drawn_in_several_styles_on_each_side(recipes: Recipes) -> None:
    styles: dict[tuple[str, int], set[str]] = {}
    for scene in recipes.scenes:
        for one in scene.objects:
            styles.setdefault((scene.part, one.label), set()).add(one.drawing.split("/")[1])
    assert all(len(found) >= 2 for (part, _), found in styles.items() if part == "train")
    assert all(len(found) >= 3 for (part, _), found in styles.items() if part == "test")


def pair_counts(scenes: Iterable[Scene], classes: list[int]) -> NDArray[np.int64]:
    """Count how often each pair of classes is in one scene."""
    counts = Counter(
        pair for s in scenes for pair in combinations(sorted(o.label for o in s.objects), 2)
    )
    return np.array([counts[pair] for pair in combinations(classes, 2)])


def test_test_scenes_combine_classes_independently_and_training_scenes_do_not(
    recipes: Recipes,
) -> None:
    """χ² of class and of pair counts against equal ones: what a model learned of a site's habits
    does not help it in the test."""
    tests, train = site_tests(recipes), some(recipes, lambda s: s.part == "train")
    seen = sorted({one.label for scene in train for one in scene.objects})
    singles = Counter(one.label for scene in tests for one in scene.objects)
    assert chisquare([singles[label] for label in seen]).pvalue > 0.01
    assert chisquare(pair_counts(tests, seen)).pvalue > 0.01
    assert chisquare(pair_counts(train, seen)).pvalue < 1e-12
    for site in {scene.domain for scene in train}:
        own = [scene for scene in train if scene.domain == site]
        common = Counter(one.label for scene in own for one in scene.objects).most_common(20)
        assert sum(count for _, count in common) > 0.75 * sum(len(s.objects) for s in own)


def test_neither_place_nor_size_nor_number_tells_a_class(recipes: Recipes) -> None:
    """Means of each class's size, place and neighbours lie within 4.5 standard errors."""
    rows = [
        (one.label, one.size, one.x + one.size / 2, one.y + one.size / 2, len(scene.objects))
        for scene in recipes.scenes
        for one in scene.objects
    ]
    table = np.array(rows, dtype=float)
    assert table[:, 1].min() == 44 and table[:, 1].max() == 60
    for column in range(1, 5):
        values = table[:, column]
        for label in range(80):
            own = values[table[:, 0] == label]
            assert abs(own.mean() - values.mean()) < 4.5 * values.std() / np.sqrt(len(own))


def test_squares_hardly_overlap(recipes: Recipes) -> None:
    for scene in recipes.scenes:
        for one, other in combinations(scene.objects, 2):
            wide = min(one.x + one.size, other.x + other.size) - max(one.x, other.x)
            high = min(one.y + one.size, other.y + other.size) - max(one.y, other.y)
            area = max(0, wide) * max(0, high)
            assert area <= 0.1 * min(one.size, other.size) ** 2
    share = Counter(len(scene.objects) for scene in recipes.scenes)
    for count, expected in zip((1, 2, 3, 4), (0.2, 0.3, 0.3, 0.2), strict=True):
        assert share[count] / 5000 == pytest.approx(expected, abs=0.02)


def test_attributes_are_recorded_for_every_class() -> None:
    answers = {a.question.class_name: a for a in AnswerStore.of("scenes")}
    spec = load_spec("scenes")
    assert set(answers) == set(spec.class_names)
    assert {answer.question.context for answer in answers.values()} == {spec.title}


@pytest.mark.slow
def test_building_anew_gives_the_same_bytes(tmp_path: Path) -> None:
    """The builder writes below its own folder: a copy of it, with links to what it reads."""
    made = (
        "data/emoji/scenes.json",
        "fedmvp/catalog/datasets/scenes.yaml",
        "fedmvp/attributes/recorded/scenes.jsonl",
    )
    for folder in {Path(name).parent for name in made}:
        (tmp_path / folder).mkdir(parents=True)
    for name in ("build_scenes.py", "scene_drawing.py"):
        (tmp_path / "data/emoji" / name).write_bytes((ROOT / "data/emoji" / name).read_bytes())
    for archive in (ROOT / "data/emoji").glob("*.zip"):
        (tmp_path / "data/emoji" / archive.name).symlink_to(archive)
    command = [sys.executable, "data/emoji/build_scenes.py"]
    subprocess.run(command, cwd=tmp_path, check=True, env={"PYTHONPATH": str(ROOT)}, timeout=600)
    for name in made:
        assert (tmp_path / name).read_bytes() == (ROOT / name).read_bytes(), name
