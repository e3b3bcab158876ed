from __future__ import annotations

import contextlib
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmvp.attributes.item_text import decoration
from fedmvp.attributes.parsing import AnswerError, parse_answer
from fedmvp.attributes.schema import complaint
from tests.unit.attributes.answers import TAKEN
from tests.unit.attributes.refused_answers import REFUSED

THREE = ("long beak", "grey neck", "thin legs")


def parse(text: str, count: int = 3) -> tuple[str, ...]:
    return parse_answer(text, class_name="heron", count=count)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"attributes": THREE}),
        json.dumps(THREE),
        "```json\n" + json.dumps({"attributes": THREE}) + "\n```",
        "- long beak\n- grey neck\n- thin legs",
        "Sure! Here they are:\n\n* **long beak**\n* grey neck.\n* thin legs\n\nEnjoy",
        '1. "long beak"\r\n2) grey neck\r\n(3) thin legs',
        "• long beak\n• long  beak\n• the heron itself\n• grey neck\n• thin legs\n• one too many",
    ],
)
def test_json_and_bullets(text: str) -> None:
    assert parse(text) == THREE


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "empty"),
        ("```\n```", "empty"),
        ("long beak, grey neck, thin legs", "neither a JSON object nor"),
        ('{"attributes": ["long beak", ', "not valid JSON"),
        ('{"features": ["long beak"]}', "1 usable attributes instead of 3"),
        ('{"features": "long beak, grey neck, thin legs"}', "1 usable attributes"),
        ('{"attributes": "long beak"}', "not a JSON object"),
        ('{"attributes": [1, 2, 3]}', "not a JSON object"),
        ("[" * 100_000, "characters long"),
        ("[" * 60_000, "not valid JSON"),
        ("- long beak\n- grey neck", "2 usable attributes instead of 3"),
        ("- long beak\n- Long beak\n- thin legs", "1 attributes are repeated"),
        ("- a heron\n- grey neck\n- thin legs", "'a heron' names its own class"),
        ("- a\x00b\n- grey neck\n- thin legs", "U+0000"),
        ("- " + "very " * 20 + "long\n- grey neck\n- thin legs", "more than 12 words"),
        ("- " + "x" * 65_000, "characters, more than"),
        ("x" * 1_000_000, "1000000 characters long"),
    ],
)
def test_bad_answers_get_a_complaint(text: str, told: str) -> None:
    with pytest.raises(AnswerError) as caught:
        parse(text)
    assert told in str(caught.value)
    assert len(str(caught.value)) < 1000


@given(st.text(max_size=300), st.integers(1, 3))
def test_nothing_unclean_ever_passes(text: str, count: int) -> None:
    for candidate in (text, f"- {text}", json.dumps({"attributes": text.split(",")})):
        try:
            attributes = parse(candidate, count)
        except AnswerError:
            continue
        assert len(set(attributes)) == count
        assert not [item for item in attributes if complaint(item, "heron") or decoration(item)]


@pytest.mark.parametrize(
    ("text", "wanted"), [case[1:] for case in TAKEN], ids=[c[0] for c in TAKEN]
)
def test_what_a_person_would_take(text: str, wanted: tuple[str, ...]) -> None:
    assert parse(text) == wanted


@pytest.mark.parametrize(
    ("text", "told"), [case[1:] for case in REFUSED], ids=[c[0] for c in REFUSED]
)
def test_what_a_person_would_not_take(text: str, told: str) -> None:
    with pytest.raises(AnswerError) as caught:
        parse(text)
    assert told in str(caught.value)


PHRASE = st.lists(st.text("abcdefgh", min_size=2, max_size=8), min_size=2, max_size=4).map(" ".join)
DRESS = st.sampled_from(
    [
        "{}",
        "**{}**",
        "*{}*",
        "`{}`",
        '"{}"',
        "[{}](http://x.y)",
        "**{}**: seen on most",
        "{}.",
        "“{}”",
        "[x] {}",
        "✅ {}",
        "<b>{}</b>",
        "**{}** — as a rule",
        "__{}:__ often",
        "{},",
        "Shape: {}",
    ]
)
FRAME = st.sampled_from(["- {}", "* {}", "1. {}", "2) {}", "• {}", "> - {}", "  - {}", "| {} |"])


@given(st.lists(PHRASE, min_size=3, max_size=3, unique=True), DRESS, FRAME, st.booleans())
def test_dress_and_frame_come_off(phrases: list[str], dress: str, frame: str, think: bool) -> None:
    lines = [frame.format(dress.format(phrase)) for phrase in phrases]
    if frame.startswith("|"):
        lines[:0] = ["| attribute |", "|---|"]
    start = "<think>- not this\n- nor that one\n- no</think>\n" if think else "Here they are:\n\n"
    assert parse(start + "\n".join(lines)) == tuple(phrases)


@pytest.mark.parametrize(
    "piece",
    [
        "[",
        "*",
        "**a ",
        "`",
        "<",
        "[x](",
        "- ",
        "|",
        "> ",
        '["',
        "{'",
        "_",
        "<think>",
        ":",
        "\u3000",
        "1. ",
        "a: ",
        "![",
        "\\",
    ],
)
def test_no_answer_takes_long_to_read(piece: str) -> None:
    started = time.process_time()
    for text in (piece * (65_000 // len(piece)), f"- {piece * (1_900 // len(piece))}\n" * 30):
        with contextlib.suppress(AnswerError):
            parse(text)
    assert time.process_time() - started < 5
