from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmvp.attributes.class_attributes import ClassAttributes, load_attributes, save_attributes
from fedmvp.attributes.schema import (
    MAX_CHARACTERS,
    check_list,
    complaint,
    deduplicate,
    names_class,
    normalise,
    spoken_name,
)
from fedmvp.errors import AttributeTextError, DataError


def check(texts: object, class_name: str = "tabby cat") -> tuple[str, ...]:
    return check_list(texts, dataset="pets", class_name=class_name)


def test_texts_are_normalised() -> None:
    assert check(["  ﬁne  striped\u00a0fur. ", "dog‑like “smile”"]) == (
        "fine striped fur",
        'dog-like "smile"',
    )


@pytest.mark.parametrize("count", [1, 3, 10])
def test_any_number_of_attributes_will_do(count: int) -> None:
    assert len(check([f"mark of kind {number}" for number in range(count)])) == count


@pytest.mark.parametrize(
    ("texts", "what"),
    [
        ([], "0 attributes"),
        (["mark"] * 101, "101 attributes"),
        ("striped fur", "not a list"),
        ({"0": "striped fur"}, "not a list"),
        (None, "not a list"),
        ([""], "is empty"),
        (["   . "], "is empty"),
        (["123"], "no letter"),
        ([7], "not a text"),
        ([None], "not a text"),
        (["x" * (MAX_CHARACTERS + 1)], "characters, more than"),
        (["striped\x07fur"], "U+0007"),
        (["striped\nfur"], "U+000A"),
        (["striped\u202efur"], "U+202E"),
        (["striped \ud800 fur"], "U+D800"),
        (["striped fur", "Striped  fur"], "twice"),
        (["a cat of tabby fur"], "names its own class"),
    ],
)
def test_bad_lists_are_refused_in_one_line(texts: object, what: str) -> None:
    with pytest.raises(AttributeTextError) as caught:
        check(texts)
    message = str(caught.value)
    assert what in message
    assert "pets" in message and "'tabby cat'" in message and "hint:" in message
    assert "\n" not in message and len(message) < 600


@pytest.mark.parametrize(
    ("text", "class_name", "names"),
    [
        ("many cats", "cat", True),
        ("Cat's whiskers", "cat", True),
        ("caterpillar tracks", "cat", False),
        ("black fur", "black cat", False),
        ("a cat in black", "black cat", True),
        ("small cup cake", "cupcake", True),
        ("paper cupcake case", "cup_cakes", True),
        ("bird on a log", "bird of paradise", False),
        ("paradise bird", "bird of paradise", True),
        ("car seen from the side", "car_side", True),
        ("berries", "berry", True),
        ("glassy surface", "glass", False),
        ("dresses", "dress", True),
        ("of the to", "and", False),
    ],
)
def test_naming_the_class(text: str, class_name: str, names: bool) -> None:
    assert names_class(text, class_name) is names


@given(st.text(max_size=200), st.text(max_size=40))
def test_whatever_passes_is_clean(text: str, class_name: str) -> None:
    clean = normalise(text)
    assert normalise(clean) == clean
    if complaint(clean, class_name) is None:
        assert clean.isprintable() and 0 < len(clean) <= MAX_CHARACTERS
        clean.encode()
    assert spoken_name(class_name).isprintable()


def test_deduplication_keeps_the_first() -> None:
    assert deduplicate(["Red", "blue", "red", "BLUE"]) == ("Red", "blue")


def test_file_round_trip_keeps_label_order(tmp_path: Path) -> None:
    classes = {"zebra": ("stripes",), "ant": ("six legs", "thin waist"), "b/../c": ("a lid",)}
    value = ClassAttributes("zoo", "recorded", "claude", "visual-v1", classes)
    save_attributes(tmp_path / "zoo.json", value)
    again = load_attributes(tmp_path / "zoo.json")
    assert again == value
    assert list(again.classes) == list(classes)
    assert list(again.select(["ant", "zebra"])) == ["ant", "zebra"]
    first = (tmp_path / "zoo.json").read_bytes()
    save_attributes(tmp_path / "zoo.json", again)
    assert (tmp_path / "zoo.json").read_bytes() == first


def test_missing_class_is_named() -> None:
    value = ClassAttributes("zoo", "recorded", "claude", "visual-v1", {"ant": ("six legs",)})
    with pytest.raises(AttributeTextError, match="'bee'"):
        value.select(["ant", "bee"])


@pytest.mark.parametrize("change", [{"classes": []}, {"extra": 1}, {"model": 3}])
def test_other_files_are_refused(tmp_path: Path, change: dict[str, object]) -> None:
    head = {"dataset": "d", "provider": "p", "model": "m", "template": "t"}
    path = tmp_path / "d.json"
    path.write_text(json.dumps({**head, "classes": {"ant": ["six legs"]}, **change}))
    with pytest.raises(DataError, match=r"d\.json"):
        load_attributes(path)
