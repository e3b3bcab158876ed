"""What is drawn, how often, with which caption."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
import torch

from pretrain.corpus import line_art, row_weights
from pretrain.recipe import load_recipe
from pretrain.select import Icon
from pretrain.texts import caption_slots
from tests.unit.pretrain.samples import drawings, tiny_corpus

RULES = load_recipe()


def icon(
    name: str,
    group: str = "thing",
    concept: str = "",
    exact: bool = True,
    gloss: str = "",
    others: tuple[str, ...] = (),
    parents: tuple[str, ...] = (),
) -> Icon:
    return Icon("set", name, group, concept or name, exact, name, others, gloss, parents)


@pytest.mark.parametrize(
    ("drawn", "colours", "texts"),
    [
        (icon("Horse"), "", {"horse"}),
        (
            icon("horse", others=("pony",), gloss="a large animal", parents=("equine",)),
            "",
            {"horse", "pony", "a large animal", "equine"},
        ),
        (icon("horse"), "brown", {"horse", "horse, which is brown", "brown horse", "brown"}),
    ],
)
def test_caption_shares_sum_to_one(drawn: Icon, colours: str, texts: set[str]) -> None:
    slots = caption_slots(drawn, colours, RULES.captions)
    assert {text for text, _, _ in slots} == texts
    assert sum(share for _, share, _ in slots) == pytest.approx(1)
    assert {text for text, _, named in slots if named} == {t for t in texts if "brown" in t}
    assert max(slots, key=lambda slot: slot[1])[0] == "horse"


def test_a_batch_names_colours_only_where_they_are_kept() -> None:
    corpus = tiny_corpus()
    batch = corpus.batch(400, torch.Generator().manual_seed(1))
    torch.testing.assert_close(batch.shares.sum(1), torch.ones(400))
    coloured = batch.shares[:, 2] > 0
    assert coloured.any() and batch.keep_colour[coloured].all()
    assert (batch.shares[batch.texts < 0] == 0).all()
    again = corpus.batch(400, torch.Generator().manual_seed(1))
    assert torch.equal(batch.images, again.images) and torch.equal(batch.shares, again.shares)


def test_groups_get_their_shares_and_concepts_are_balanced() -> None:
    icons = [
        icon("cat", "emoji"),
        *(icon(f"dog {i}", "thing", "dog") for i in range(9)),
        icon("ox", "thing"),
        icon("ox tail", "thing", "ox", exact=False),
        icon("tree", "colour"),
        icon("thingy", "plain"),
    ]
    kept = np.ones(len(icons), dtype=bool)
    kept[9] = False
    weights = row_weights(icons, kept, RULES.icons)
    shares: dict[str, float] = defaultdict(float)
    for drawn, weight in zip(icons, weights, strict=True):
        shares[drawn.group] += weight
    assert shares == pytest.approx(dict(RULES.icons.shares))
    dogs, oxen = weights[1:10].sum(), weights[10:12].sum()
    assert dogs / oxen == pytest.approx((8 / 2) ** RULES.icons.concept_power)
    assert weights[10] == pytest.approx(2 * weights[11])
    assert weights[9] == 0


def test_line_art_is_black_and_lies_on_the_edges() -> None:
    drawn = drawings(4)
    art = line_art(drawn)
    assert not art[..., :3].any() and art[..., 3].any()
    assert (art[..., 3] > 60).mean() < (drawn[..., 3] > 60).mean() / 2
