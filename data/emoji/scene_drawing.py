"""Draw the objects of one emoji scene: which classes, in which style, where (build_scenes.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TypeVar

import numpy as np

from fedmvp.data.scene_recipes import Placed
from fedmvp.data.scenes import cover_of
from fedmvp.seeds import numpy_generator

SEED = 1
TRAIN_STYLES = ("twemoji", "openmoji", "emojione", "fxemoji")
TEST_STYLES = ("noto", "fluent-emoji", "fluent-emoji-flat")
CONTRAST_STYLES = ("fluent-emoji-high-contrast",)
STYLES = (*TRAIN_STYLES, *TEST_STYLES, *CONTRAST_STYLES)
LEAST_TRAIN_STYLES = 2
SKEW = 0.8  # share of a training scene's classes that are drawn among the site's own

CANVAS, CELL, JITTER = 128, 64, 10
SIZES = range(44, 61)
OBJECTS = (1, 1, 2, 2, 2, 3, 3, 3, 4, 4)  # equally likely: mean 2.5
MOST_OVERLAP, LEAST_VISIBLE = 0.1, 0.6
TRIES = 1000
# Mirrored, their letters would be wrong, or they would be another thing.
TEXT_LIKE = frozenset(
    {
        "fax machine",
        "globe showing americas",
        "japanese post office",
        "last quarter moon",
        "mahjong red dragon",
        "newspaper",
        "pager",
        "slot machine",
        "stop sign",
    }
)

_T = TypeVar("_T")


class Draws:
    """Whole numbers from the raw words of a named generator: the same in every numpy."""

    def __init__(self, *key: str | int) -> None:
        self._words = numpy_generator(SEED, "scenes", *key).bit_generator

    def below(self, count: int) -> int:
        """Return a number from 0 up to `count`, which is left out."""
        return int(self._words.random_raw()) % count

    def one_of(self, values: Sequence[_T]) -> _T:
        """Return one of some values, each as likely as any other."""
        return values[self.below(len(values))]

    def shuffled(self, values: Sequence[_T]) -> list[_T]:
        """Return the values in a random order."""
        left = list(values)
        return [left.pop(self.below(len(left))) for _ in values]


@dataclass(frozen=True)
class Icon:
    """A class: an emoji of one of the groups, and the styles whose drawing of it can be seen."""

    group: str
    name: str
    folder: str
    styles: tuple[str, ...]

    def among(self, styles: Sequence[str]) -> list[str]:
        """Return those of some styles that draw it."""
        return [style for style in styles if style in self.styles]

    def is_complete(self) -> bool:
        """Tell whether enough styles of each side draw it."""
        needed = (*TEST_STYLES, *CONTRAST_STYLES)
        return len(self.among(TRAIN_STYLES)) >= LEAST_TRAIN_STYLES and len(
            self.among(needed)
        ) == len(needed)


@dataclass(frozen=True)
class Population:
    """Scenes of one kind: how many, of which classes and styles."""

    domain: str
    part: str
    count: int
    styles: tuple[str, ...]
    classes: Sequence[Icon]
    own: Sequence[Icon] = ()  # classes its scenes combine in a share SKEW of draws


def draw_scene(
    population: Population, number: int, labels: Mapping[Icon, int], drawings: Path
) -> list[Placed]:
    """Return the objects of a scene, from the lowest to the uppermost, each in its own cell."""
    draws = Draws(population.domain, population.part, number)
    icons: list[Icon] = []
    for _ in range(draws.one_of(OBJECTS)):
        own = population.own if draws.below(100) < 100 * SKEW else ()
        icons.append(draws.one_of([i for i in own or population.classes if i not in icons]))
    styles = [draws.one_of(icon.among(population.styles)) for icon in icons]
    cells = draws.shuffled([(x, y) for y in (0, CELL) for x in (0, CELL)])
    for _ in range(TRIES):
        placed = [
            _placed(draws, icon, style, cell, labels[icon])
            for icon, style, cell in zip(icons, styles, cells, strict=False)
        ]
        if _boxes_apart(placed) and _visible(placed, drawings):
            return placed
    raise SystemExit(f"{population.domain} {number}: no arrangement in {TRIES} tries")


def _placed(draws: Draws, icon: Icon, style: str, cell: tuple[int, int], label: int) -> Placed:
    size = draws.one_of(SIZES)
    x, y = (
        min(
            max(start + (CELL - size) // 2 + draws.below(2 * JITTER + 1) - JITTER, 0), CANVAS - size
        )
        for start in cell
    )
    flip = draws.below(2) == 1 and icon.name not in TEXT_LIKE
    return Placed(f"{icon.group}/{style}/{icon.folder}", label, x, y, size, flip)


def _boxes_apart(placed: Sequence[Placed]) -> bool:
    for one, other in combinations(placed, 2):
        wide, high = (
            max(0, min(a + one.size, b + other.size) - max(a, b))
            for a, b in ((one.x, other.x), (one.y, other.y))
        )
        if wide * high > MOST_OVERLAP * min(one.size, other.size) ** 2:
            return False
    return True


def _visible(placed: Sequence[Placed], drawings: Path) -> bool:
    """Tell whether enough of every object is left by those above it."""
    owner = np.full((CANVAS, CANVAS), -1)
    areas = []
    for place, one in enumerate(placed):
        drawn = cover_of(one, drawings) > 127
        owner[one.y : one.y + one.size, one.x : one.x + one.size][drawn] = place
        areas.append(np.count_nonzero(drawn))
    return all(
        np.count_nonzero(owner == place) >= LEAST_VISIBLE * area for place, area in enumerate(areas)
    )
