from __future__ import annotations

import pytest

from fedmvp.attributes.sentences import ClassTexts, attribute_clause, class_texts, sentence
from fedmvp.errors import AttributeTextError


@pytest.mark.parametrize(
    ("attribute", "letter", "word"),
    [
        ("long neck", "which has long neck", "which has long neck"),
        ("almond-shaped eyes", "which is almond-shaped eyes", "which has almond-shaped eyes"),
        ("a tall tower", "which is a tall tower", "which is a tall tower"),
        ("used for rowing", "which is used for rowing", "which is used for rowing"),
        ("has two wheels", "which has two wheels", "which has two wheels"),
        ("often red", "which often red", "which often red"),
        ("candle-like flowers", "which candle-like flowers", "which has candle-like flowers"),
        ("may be striped", "which may be striped", "which may be striped"),
    ],
)
def test_clause_rules(attribute: str, letter: str, word: str) -> None:
    assert attribute_clause(attribute) == letter
    assert attribute_clause(attribute, "word") == word


@pytest.mark.parametrize("suffix", ["a type of flower,", "a type of flower, ", "a type of flower"])
def test_sentence_form(suffix: str) -> None:
    text = sentence("tiger_lily", "dark spots", prefix="a photo of a", suffix=suffix)
    assert text == "a photo of a tiger lily, a type of flower, which has dark spots"


def test_sentence_without_suffix() -> None:
    text = sentence("tram", "two decks, both red", prefix="a photo of a ")
    assert text == "a photo of a tram, which has two decks, both red"


def test_cutting_at_characters_is_an_option() -> None:
    long = "one attribute that goes on for much longer than any attribute should"
    whole = sentence("tram", long, prefix="a photo of a")
    assert len(whole) > 77
    assert sentence("tram", long, prefix="a photo of a", truncate="chars77") == whole[:77]


@pytest.mark.parametrize("counts", [(1, 1), (3, 3), (10, 10), (1, 3), (10, 1)])
def test_ragged_texts_are_class_major(counts: tuple[int, int]) -> None:
    own = {
        name: [f"mark {n} of it" for n in range(count)]
        for name, count in zip(("ant", "bee"), counts, strict=True)
    }
    texts = class_texts(["bee", "ant"], own, prefix="a photo of a")
    assert texts.classes == ("bee", "ant")
    assert texts.class_index == (0,) * counts[1] + (1,) * counts[0]
    assert len(texts.sentences) == len(texts.attributes) == len(texts.class_index)
    assert texts.sentences[0] == "a photo of a bee, which has mark 0 of it"
    assert texts.attributes[-1] == own["ant"][-1]


def test_texts_are_looked_up_by_name_not_by_file_order() -> None:
    own = {"c": ["sea"], "b": ["lid"], "extra": ["no one asks"]}
    texts = class_texts(["b", "c"], own, prefix="a")
    assert texts == ClassTexts(
        ("b", "c"), ("a b, which has lid", "a c, which has sea"), ("lid", "sea"), (0, 1)
    )


@pytest.mark.parametrize("classes", [["ant", "wasp"], ["ant", "ant"], ["empty"]])
def test_missing_and_repeated_classes_are_named(classes: list[str]) -> None:
    with pytest.raises(AttributeTextError, match=f"'{classes[-1]}'"):
        class_texts(classes, {"ant": ["six legs"], "empty": []}, prefix="a")
