"""From slugs to phrases."""

from __future__ import annotations

import pytest

from pretrain.names import is_skipped, phrase


@pytest.mark.parametrize(
    ("slug", "suffixes", "strip", "expected"),
    [
        ("polar-bear-outline-24", (), True, "polar bear"),
        ("baseline-home", (), True, "home"),
        ("24-hours", (), True, "hours"),
        ("apple_bold", (), True, "apple"),
        ("horse-line-duotone", ("line-duotone", "line"), True, "horse"),
        ("light", (), True, "light"),
        ("light-bulb", (), False, "light bulb"),
        ("pool-8-ball", (), False, "pool 8 ball"),
        ("dog-2", (), False, "dog"),
        ("one-oclock", (), False, "one o'clock"),
    ],
)
def test_phrase(slug: str, suffixes: tuple[str, ...], strip: bool, expected: str) -> None:
    assert phrase(slug, suffixes, strip_style=strip) == expected


@pytest.mark.parametrize(
    ("slug", "skipped"),
    [
        ("waving-hand-dark-skin-tone", True),
        ("flag-for-france", True),
        ("keycap-3", True),
        ("flag-in-hole", False),
        ("skin", False),
    ],
)
def test_variants_of_people_and_flags_are_skipped(slug: str, skipped: bool) -> None:
    assert is_skipped(slug) is skipped
