"""Write the emoji scenes: recipes of pictures with many labels, their catalog entry and attributes.

Usage::

    python data/emoji/build_scenes.py

It reads the archives beside it and the five emoji datasets' entries and recorded attributes, and
writes ``scenes.json`` here, ``scenes.yaml`` in the catalog and ``scenes.jsonl`` among the recorded
attributes; the same bytes on every machine.

Drawings of training scenes and of test scenes are of different styles, and Fluent's three
renderings of one drawing are all on the test side. At the sites, training scenes mostly combine the
site's own classes; the classes of a test scene are drawn independently of each other.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from scene_drawing import (
    CANVAS,
    CELL,
    CONTRAST_STYLES,
    SEED,
    STYLES,
    TEST_STYLES,
    TRAIN_STYLES,
    Draws,
    Icon,
    Population,
    draw_scene,
)

from fedmvp.attributes.store import AnswerStore
from fedmvp.catalog.spec import Named, load_spec
from fedmvp.data.fetch.archives import extract
from fedmvp.data.scene_recipes import Placed
from fedmvp.data.scenes import cover_of
from fedmvp.files import sha256_bytes, write_bytes, write_text
from fedmvp.seeds import derive

GROUPS = ("animals", "food", "objects", "travel", "activities")
PER_GROUP, UNSEEN_PER_GROUP = 16, 4
LEAST_COVER = 0.05  # share of its square a drawing must fill once its ground is cut away

SITES = 8
TRAIN_SCENES, TEST_SCENES = 350, 100  # at each site
UNSEEN_SCENES, ALL_SCENES, CONTRAST_SCENES = 400, 800, 200

ENTRY = """\
# Written by data/emoji/build_scenes.py.
name: scenes
title: "{title}"
homepage: https://icon-sets.iconify.design
licence: "one licence per drawing style, see data/emoji/ATTRIBUTION.md"
task: multi
sources:
  - kind: embedded
    files:
{files}
layout: {{reader: scene_recipes}}
template: "an icon of a {{}}."
sentence: {{prefix: "an icon of a", suffix: ""}}
split: {{rule: official}}
counts: {{images: {images}, train: {train}, test: {test}}}
domains:
{domains}
# Each site's camera, at severity 1 (fedmvp/catalog/cameras.py); the others are new ones.
capture:
{cameras}
classes:
{classes}
unseen:
{unseen}
"""
TITLE = "Emoji scenes: animals, food, objects, travel and activities"
CAMERAS = {
    "site-1": "exposure: 0.55, cast: [1, 0.9, 0.75], noise: 0.05, blur: 0.6",
    "site-2": "exposure: 0.45, cast: [0.8, 0.9, 1.1], noise: 0.06",
    "site-3": "exposure: 0.65, cast: [1, 1, 0.9], noise: 0.06, blur: 1",
    "site-4": "exposure: 0.5, cast: [0.9, 1, 0.8], noise: 0.05, blur: 0.8",
    "site-5": "exposure: 0.7, cast: [0.8, 0.85, 1], noise: 0.07, blur: 0.5",
    "site-6": "exposure: 0.45, cast: [1, 0.95, 0.9], noise: 0.05, blur: 0.7",
    "site-7": "exposure: 0.4, cast: [1.05, 0.9, 0.8], noise: 0.04, blur: 0.5",
    "site-8": "exposure: 0.6, cast: [0.9, 0.95, 1.1], noise: 0.07",
    "zsl": "exposure: 0.5, cast: [0.95, 1, 0.85], noise: 0.06, blur: 0.6",
    "gzsl": "exposure: 0.5, cast: [0.95, 1, 0.85], noise: 0.06, blur: 0.6",
    "high-contrast": "exposure: 0.5, cast: [0.95, 1, 0.85], noise: 0.06, blur: 0.6",
}


def choose_classes(drawings: Path) -> tuple[list[Icon], list[Icon]]:
    """Return seen and unseen classes: a seeded choice in each group under rules of names.

    A class is left out if its name is part of one chosen before or the reverse, as "cat" and "cat
    face", if it is a clock face, or if not every style needed draws it.
    """
    chosen: list[Icon] = []
    unseen: list[Icon] = []
    for group in GROUPS:
        own: list[Icon] = []
        entries = sorted(load_spec(group).classes, key=lambda e: derive(SEED, "scenes", e.name))
        for entry in entries:
            clock = "o'clock" in entry.name or entry.name.endswith("-thirty")
            apart = not any(_contains(entry.name, other.name) for other in (*chosen, *own))
            if len(own) < PER_GROUP and apart and not clock:
                icon = _icon(group, entry, drawings)
                own += [icon] if icon.is_complete() else []
        unseen += own[:UNSEEN_PER_GROUP]
        chosen += own
    return [icon for icon in chosen if icon not in unseen], unseen


def _icon(group: str, entry: Named, drawings: Path) -> Icon:
    """Return a class with the styles whose drawing is there and fills enough of its square."""
    styles = []
    for style in STYLES:
        whole = Placed(f"{group}/{style}/{entry.folder}", 0, 0, 0, CELL, False)
        there = (drawings / whole.drawing).is_dir()
        if there and cover_of(whole, drawings).mean() >= LEAST_COVER * 255:
            styles.append(style)
    return Icon(group, entry.name, entry.folder, tuple(styles))


def _contains(one: str, other: str) -> bool:
    """Tell whether one name is among the words of the other."""
    return f" {one} " in f" {other} " or f" {other} " in f" {one} "


def populations(seen: list[Icon], unseen: list[Icon]) -> list[Population]:
    """Return the kinds of scenes: each site's for training and for testing, then three more."""
    third = len(seen) // 3
    thirds = [
        shuffled[start : start + third]
        for number in range(3)
        for shuffled in [Draws("sites", number).shuffled(seen)]
        for start in range(0, 3 * third, third)
    ]
    sites = [f"site-{number}" for number in range(1, SITES + 1)]
    return [
        *(
            Population(site, "train", TRAIN_SCENES, TRAIN_STYLES, seen, own)
            for site, own in zip(sites, thirds, strict=False)
        ),
        *(Population(site, "test", TEST_SCENES, TEST_STYLES, seen) for site in sites),
        Population("zsl", "test", UNSEEN_SCENES, TEST_STYLES, unseen),
        Population("gzsl", "test", ALL_SCENES, TEST_STYLES, [*seen, *unseen]),
        Population("high-contrast", "test", CONTRAST_SCENES, CONTRAST_STYLES, seen),
    ]


def recipes_text(classes: Sequence[Icon], scenes: Sequence[tuple[Population, list[Placed]]]) -> str:
    """Return the file of recipes, one scene a line."""
    head = {
        "canvas": CANVAS,
        "styles": STYLES,
        "classes": [f"{icon.group}/{icon.folder}" for icon in classes],
    }
    rows = [
        [one.domain, one.part, [_row(object_) for object_ in objects]] for one, objects in scenes
    ]
    lines = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
    text = json.dumps(head, indent=1).removesuffix("\n}")
    return f'{text},\n "scenes": [\n{lines}\n ]\n}}\n'


def _row(placed: Placed) -> list[int]:
    style = STYLES.index(placed.drawing.split("/")[1])
    return [placed.label, style, placed.x, placed.y, placed.size, int(placed.flip)]


def entry_text(
    classes: Sequence[Icon], unseen: Sequence[Icon], kinds: Sequence[Population], recipes: bytes
) -> str:
    """Return the catalog entry."""
    files = [
        f"      - {{path: data/emoji/scenes.json, sha256: {sha256_bytes(recipes)}, unpack: false}}"
    ]
    for group in GROUPS:
        digest = load_spec(group).sources[0].files[0].sha256  # type: ignore[union-attr]
        archive = f"path: data/emoji/{group}.zip, into: drawings/{group}"
        files.append(f"      - {{{archive},\n         sha256: {digest}}}")
    count = {part: sum(k.count for k in kinds if k.part == part) for part in ("train", "test")}
    rows = (f'  - {{name: "{i.name}", folder: "{i.group}/{i.folder}"}}' for i in classes)
    return ENTRY.format(
        title=TITLE,
        files="\n".join(files),
        images=sum(count.values()),
        **count,
        domains="\n".join(f"  - {domain}" for domain in CAMERAS),
        cameras="\n".join(f"  {domain}: {{{camera}}}" for domain, camera in CAMERAS.items()),
        classes="\n".join(rows),
        unseen="\n".join(f'  - "{i.name}"' for i in classes if i in unseen),
    )


def attribute_lines(classes: Sequence[Icon]) -> bytes:
    """Return the recorded attributes of the classes, as answers to questions about scenes."""
    lines = []
    for icon in classes:
        answers = [a for a in AnswerStore.of(icon.group) if a.question.class_name == icon.name]
        lines += [
            replace(one, question=replace(one.question, context=TITLE)).to_line() for one in answers
        ]
    return b"".join(lines)


def main(root: Path) -> None:
    """Write recipes, catalog entry and attributes below the repository's root."""
    with tempfile.TemporaryDirectory() as folder:
        drawings = Path(folder)
        for group in GROUPS:
            extract(root / "data" / "emoji" / f"{group}.zip", drawings / group)
        seen, unseen = choose_classes(drawings)
        classes = sorted([*seen, *unseen], key=lambda icon: icon.name)
        labels = {icon: label for label, icon in enumerate(classes)}
        kinds = populations(seen, unseen)
        scenes = [
            (kind, draw_scene(kind, number, labels, drawings))
            for kind in kinds
            for number in range(kind.count)
        ]
    recipes = recipes_text(classes, scenes).encode()
    package = root / "fedmvp"
    write_bytes(root / "data" / "emoji" / "scenes.json", recipes)
    write_text(
        package / "catalog" / "datasets" / "scenes.yaml",
        entry_text(classes, unseen, kinds, recipes),
    )
    write_bytes(package / "attributes" / "recorded" / "scenes.jsonl", attribute_lines(classes))
    print(f"scenes: {len(classes)} classes, {len(scenes)} scenes, {len(recipes):,} bytes")


if __name__ == "__main__":
    main(Path(__file__).resolve().parents[2])
