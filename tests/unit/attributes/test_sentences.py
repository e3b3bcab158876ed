from __future__ import annotations

import pytest

from fedmvp.attributes.sentences import attribute_clause, class_sentences, sentence


@pytest.mark.parametrize(
    ("attribute", "clause"),
    [
        ("long neck", "which has long neck"),
        ("almond-shaped eyes", "which is almond-shaped eyes"),
        ("a tall tower", "which is a tall tower"),
        ("used for rowing", "which is used for rowing"),
        ("has two wheels", "which has two wheels"),
        ("often red", "which often red"),
        ("candle-like flowers", "which candle-like flowers"),
        ("may be striped", "which may be striped"),
    ],
)
def test_clause_rule(attribute: str, clause: str) -> None:
    assert attribute_clause(attribute) == clause


@pytest.mark.parametrize("suffix", ["a type of flower,", "a type of flower, ", "a type of flower"])
def test_sentence_form(suffix: str) -> None:
    text = sentence("tiger_lily", "dark spots", prefix="a photo of a", suffix=suffix)
    assert text == "a photo of a tiger lily, a type of flower, which has dark spots"


def test_sentence_without_suffix() -> None:
    text = sentence("tram", "two decks, both red", prefix="a photo of a ")
    assert text == "a photo of a tram, which has two decks, both red"


def test_every_attribute_has_its_sentence_in_order() -> None:
    own = {"bee": ["two wings", "a sting"], "ant": []}
    assert class_sentences(own, prefix="a photo of a") == {
        "bee": ["a photo of a bee, which has two wings", "a photo of a bee, which is a sting"],
        "ant": [],
    }
