"""No image of the benchmark gets into training: exact, recoloured and nearly equal copies go."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from pretrain.recipe import load_recipe
from pretrain.screen import compare, leakage
from tests.unit.pretrain.samples import drawings

Change = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
RULES = load_recipe().screen
BENCHMARK = drawings(40)


def darker(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    changed = images.copy()
    changed[..., :3] = changed[..., :3] * 0.93
    return changed


def on_white(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same picture without transparency."""
    return np.where(images[..., 3:] == 255, images, np.uint8(255))


def dotted(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    changed = images.copy()
    changed[:, 30:32, 30:32] = [0, 0, 0, 255]
    return changed


@pytest.mark.parametrize(
    ("change", "exact"), [(np.copy, True), (on_white, True), (darker, False), (dotted, False)]
)
def test_copies_are_dropped(change: Change, exact: bool) -> None:
    found = compare(change(BENCHMARK[:10]), BENCHMARK, RULES)
    assert found.copies.all() and not found.kept.any()
    assert found.exact.all() == exact and found.exact.any() == exact


def test_each_look_finds_what_the_other_misses() -> None:
    """Grey versions keep the hash; a flat drawing's hash is all noise but its colours are equal."""
    grey = BENCHMARK[:10].copy()
    luma = grey[..., :3].mean(-1, keepdims=True).astype(np.uint8)
    grey[..., :3] = luma
    found = compare(grey, BENCHMARK, RULES)
    assert found.near_hash.all() and not found.near_thumb.all()

    flat = np.full((1, 64, 64, 4), 255, dtype=np.uint8)
    flat[:, 8:56, 8:56, :3] = 200
    speckled = flat.copy()
    speckled[0, 12::8, 12::4, :3] -= 20
    found = compare(speckled, np.concatenate([BENCHMARK, flat]), RULES)
    assert found.near_thumb.all() and not found.exact.any()


def test_other_drawings_and_blanks() -> None:
    others = drawings(40, seed=1)
    others[7] = 0
    found = compare(others, BENCHMARK, RULES)
    assert not found.copies.any()
    assert found.kept.sum() == 39 and found.blank[7] and not found.kept[7]


def test_the_report_counts_every_drop_once() -> None:
    images = np.concatenate([BENCHMARK[:3], dotted(BENCHMARK[3:5]), drawings(5, seed=2)])
    report = leakage(compare(images, BENCHMARK, RULES), ["a"] * 4 + ["b"] * 6)
    assert report["by_set"] == {"a": {"exact": 3, "near": 1}, "b": {"exact": 0, "near": 1}}
    assert (report["icons"], report["copies"], report["exact"]) == (10, 5, 3)
