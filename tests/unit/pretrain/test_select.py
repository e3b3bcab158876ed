"""Which icons are chosen and what is said of them, on a WordNet and icon sets of a few lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pretrain.recipe import load_recipe
from pretrain.select import Icon, select
from pretrain.wordnet import WordNet

# offset, lexicographer file (5: animal, 6: artifact, 4: act), words, parent, gloss
SENSES = (
    (100, 5, ("animal",), None, "a living thing"),
    (200, 5, ("horse", "Equus_caballus"), 100, 'solid-hoofed animal; "he rode a horse"'),
    (300, 6, ("bell",), None, "a hollow device"),
    (400, 4, ("running",), None, "the act of running"),
    (500, 5, ("mouse",), 100, "small rodent"),
)
RULES = load_recipe().icons.model_copy(update={"variants_per_concept": 1, "plain_per_set": 1})


@pytest.fixture
def wordnet(tmp_path: Path) -> WordNet:
    data, senses = ["  1 a licence"], ["  1 a licence"]
    for offset, file, words, parent, gloss in SENSES:
        pointers = "000" if parent is None else f"001 @ {parent:08d} n 0000"
        joined = " ".join(f"{word} 0" for word in words)
        data.append(f"{offset:08d} {file:02d} n {len(words):02x} {joined} {pointers} | {gloss}")
        senses += [f"{word.lower()} n 1 0 1 0 {offset:08d}" for word in words]
    (tmp_path / "data.noun").write_text("\n".join(data))
    (tmp_path / "index.noun").write_text("\n".join(senses))
    (tmp_path / "noun.exc").write_text("mice mouse\n")
    return WordNet(tmp_path)


def chosen(tmp_path: Path, wordnet: WordNet, **sets: dict[str, Any]) -> list[Icon]:
    """Select from sets of which only what differs from a plain one is given."""
    folder = tmp_path / "icons"
    folder.mkdir()
    for name, content in sets.items():
        info = {
            "name": name,
            "author": {"name": "A"},
            "license": {"title": "MIT", "spdx": "MIT"},
            "palette": False,
            **content.pop("info", {}),
        }
        icons = {slug: {"body": "<g/>"} for slug in content.pop("slugs", ["horse"])}
        text = json.dumps({"info": info, "icons": icons, **content})
        (folder / f"{name.replace('_', '-')}.json").write_text(text)
    return select(folder, wordnet, RULES)[0]


@pytest.mark.parametrize(
    ("name", "info", "group"),
    [
        ("twemoji", {}, None),
        ("fluent_emoji_flat", {}, None),
        ("cif", {}, None),
        ("other", {"license": {"title": "x", "spdx": "CC-BY-NC-4.0"}}, None),
        ("other", {"category": "Logos"}, None),
        ("other", {}, "thing"),
        ("other", {"palette": True}, "colour"),
        ("noto_v1", {"palette": True}, "emoji"),
        ("flat_color_icons", {"palette": True}, "validation"),
    ],
)
def test_whole_sets(
    tmp_path: Path, wordnet: WordNet, name: str, info: dict[str, Any], group: str | None
) -> None:
    icons = chosen(tmp_path, wordnet, **{name: {"info": info}})
    assert [icon.group for icon in icons] == ([] if group is None else [group])


def test_no_style_of_the_benchmark_can_be_chosen() -> None:
    benchmark = json.loads((Path(__file__).parents[3] / "pretrain/benchmark.json").read_text())
    assert len(RULES.benchmark) == 8 and len(benchmark) == 5
    assert not set(RULES.benchmark) & {*RULES.emoji, *RULES.validation}


def test_concepts(tmp_path: Path, wordnet: WordNet) -> None:
    slugs = ["horse-outline", "horse-bold", "mice", "bell-slash", "running", "zzz-1", "qqq"]
    icons = {icon.slug: icon for icon in chosen(tmp_path, wordnet, other={"slugs": slugs})}
    # The second variant of a horse and the second nameless icon are one too many.
    assert list(icons) == ["horse-outline", "mice", "bell-slash", "running"]
    horse = icons["horse-outline"]
    assert (horse.concept, horse.exact, horse.group) == ("horse", True, "thing")
    assert horse.other_names == ("equus caballus",) and horse.hypernyms == ("animal",)
    assert horse.gloss == "solid-hoofed animal"
    assert (icons["mice"].concept, icons["mice"].name) == ("mouse", "mice")
    # A part of the name gives the concept, but its definition would mislead.
    bell = icons["bell-slash"]
    assert (bell.concept, bell.exact, bell.gloss, bell.hypernyms) == ("bell", False, "", ("bell",))
    assert icons["running"].group == "plain"  # an act cannot be drawn


def test_only_plain_aliases_are_other_names(tmp_path: Path, wordnet: WordNet) -> None:
    aliases = {"steed": {"parent": "horse"}, "upside": {"parent": "horse", "rotate": 2}}
    icon = chosen(tmp_path, wordnet, other={"aliases": aliases})[0]
    assert icon.other_names == ("equus caballus", "steed")
