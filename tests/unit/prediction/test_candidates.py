"""Candidate classes from datasets, class lists and attribute lists."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fedmvp.errors import AttributeTextError, ConfigError, DataError
from fedmvp.prediction.candidates import (
    choose_candidates,
    read_attribute_lists,
    read_class_names,
)


@pytest.fixture
def catalog(place: Path) -> Path:
    from tests.unit.prediction.places import furnish

    furnish(place)
    return place


def write(path: Path, content: Any) -> Path:
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_dataset_gives_everything(catalog: Path) -> None:
    found = choose_candidates(dataset="toys")
    assert found.classes == ("red_fox", "teapot", "snow owl", "kite")
    assert (found.template, found.prefix) == ("a sketch of a {}.", "a sketch of a")
    assert found.suffix == "a kind of toy"
    assert found.attributes["teapot"] == ("long spout", "pale spout", "round spout")


def test_a_domain_changes_the_sentences_only(catalog: Path) -> None:
    found = choose_candidates(dataset="toys", domain="photo")
    assert (found.template, found.prefix, found.suffix) == (
        "a sketch of a {}.",
        "a photo of a",
        "",
    )
    with pytest.raises(ConfigError, match=r"no such domain.*sketch, photo"):
        choose_candidates(dataset="toys", domain="clipart")
    with pytest.raises(ConfigError, match=r"give --dataset NAME, too"):
        choose_candidates(classes=write(catalog / "c.txt", "a\nb"), domain="photo")


def test_a_class_list_replaces_the_candidates_and_keeps_the_style(catalog: Path) -> None:
    names = write(catalog / "c.txt", "\ufeffkite\n\n  wooden top \r\nred fox\n")
    found = choose_candidates(dataset="toys", classes=names)
    assert found.classes == ("kite", "wooden top", "red fox")
    assert found.prefix == "a sketch of a"
    # Underscores and spaces are the same; classes the dataset does not have stay without.
    assert set(found.attributes) == {"kite", "red fox"}


def test_attribute_lists_are_taken_word_for_word(catalog: Path) -> None:
    lists = {"kite": ["Long  tail.", "“quoted”"], "red_fox": ["a tail", "a tail"]}
    path = write(catalog / "a.json", lists)
    found = choose_candidates(attributes=path)
    assert found.dataset == "custom"
    assert found.classes == ("kite", "red_fox")
    assert found.attributes == {name: tuple(texts) for name, texts in lists.items()}
    assert (found.template, found.prefix) == ("a photo of a {}.", "a photo of a")
    only = choose_candidates(classes=write(catalog / "c.txt", "red fox"), attributes=path)
    assert only.attributes == {"red fox": ("a tail", "a tail")}


def test_the_stages_own_file_is_an_attribute_list(catalog: Path) -> None:
    lists = read_attribute_lists(catalog / "data/attributes/toys.json")
    assert list(lists) == ["red_fox", "teapot", "snow owl", "kite"]


def test_recorded_answers_stand_in_for_the_stage(catalog: Path) -> None:
    params = Path(__file__).parents[3] / "params.yaml"
    (catalog / "params.yaml").write_bytes(params.read_bytes())
    found = choose_candidates(dataset="food")
    assert set(found.attributes) == set(found.classes)


def test_nothing_named_is_an_error(catalog: Path) -> None:
    with pytest.raises(ConfigError, match=r"no classes.*--dataset NAME or --classes FILE"):
        choose_candidates()
    with pytest.raises(ConfigError, match=r"unknown dataset.*did you mean 'toys'"):
        choose_candidates(dataset="tois")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no class"),
        ("  \n\n", "no class"),
        ("a\nb\na\n", "twice.*'a'"),
        (None, "cannot be read"),
    ],
)
def test_faulty_class_lists(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "c.txt"
    if content is not None:
        write(path, content)
    with pytest.raises(DataError, match=message):
        read_class_names(path)


@pytest.mark.parametrize(
    "content", [[], {}, "text", {"a": "b"}, {"a": [1]}, {"a": [""]}, {"classes": {"a": None}}]
)
def test_faulty_attribute_lists(tmp_path: Path, content: Any) -> None:
    with pytest.raises((AttributeTextError, DataError), match=r"hint: "):
        read_attribute_lists(write(tmp_path / "a.json", content))
