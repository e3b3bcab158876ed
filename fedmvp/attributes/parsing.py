"""Reading a language model's answer: what a person would extract, or a complaint; exactly N."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fedmvp.attributes.answer_items import AnswerLists, answer_lists, without_reasoning
from fedmvp.attributes.item_text import decoration, plain_item
from fedmvp.attributes.refusals import is_refusal
from fedmvp.attributes.schema import complaint, deduplicate, normalise

__all__ = ["ANSWER_SCHEMA", "MAX_ANSWER_CHARACTERS", "MAX_WORDS", "AnswerError", "parse_answer"]

MAX_ANSWER_CHARACTERS = 65_536
# Twice what the templates ask for: beyond it an "attribute" is a sentence.
MAX_WORDS = 12

ANSWER_SCHEMA = {
    "type": "object",
    "properties": {"attributes": {"type": "array", "items": {"type": "string"}}},
    "required": ["attributes"],
    "additionalProperties": False,
}

_NEXT_TURN = re.compile(r"^\s*(?:Q|Question|User|Human)\s*:", re.MULTILINE)
_SHOWN = 5


class AnswerError(Exception):
    """An answer that cannot be used; its text is sent to the model with the next question."""


@dataclass(frozen=True)
class _Reading:
    usable: tuple[str, ...]
    complaints: tuple[str, ...]


def parse_answer(text: str, *, class_name: str, count: int) -> tuple[str, ...]:
    """Return the first `count` valid, distinct attributes of an answer.

    Parameters
    ----------
    text : str
        A JSON object ``{"attributes": [...]}`` or a list of one attribute an item: JSON, bullets,
        numbers or a table, in Markdown and prose, after reasoning that is marked as such.
    class_name : str
        Attributes naming it are not valid.
    count : int
        Attributes wanted; further ones are left out.

    Raises
    ------
    AnswerError
        When it is a refusal, has another form or too few valid attributes.
    """
    if len(text) > MAX_ANSWER_CHARACTERS:
        raise AnswerError(f"it is {len(text)} characters long")
    answer = without_reasoning(text)
    if answer is None:
        raise AnswerError("its reasoning has no end, and no answer follows")
    if not answer.strip(" `\t\r\n"):
        raise AnswerError("it is empty")
    found = _lists(answer)
    if is_refusal(found.prose):
        raise AnswerError("it is a refusal")
    if not found.lists:
        raise AnswerError(
            found.fault or 'it is neither a JSON object nor a list of lines that start with "- "'
        )
    reading = _chosen([[_read(items, class_name) for items in own] for own in found.lists], count)
    if len(reading.usable) >= count:
        return reading.usable[:count]
    details = "".join(f"; {text}" for text in reading.complaints[:_SHOWN])
    raise AnswerError(f"{len(reading.usable)} usable attributes instead of {count}{details}")


def _lists(answer: str) -> AnswerLists:
    """Find the lists, without further turns that a model makes up."""
    if turn := _NEXT_TURN.search(answer):
        before = answer_lists(answer[: turn.start()])
        if before.lists:
            return before
    return answer_lists(answer)


def _read(items: list[str], class_name: str) -> _Reading:
    good: list[str] = []
    complaints: list[str] = []
    for item in items:
        # Markdown hides the character NUL; complaints name it.
        clean = normalise(item if "\0" in item else plain_item(item))
        wrong = complaint(clean, class_name) or decoration(clean)
        if wrong is None and len(clean.split()) > MAX_WORDS:
            wrong = f"has more than {MAX_WORDS} words"
        if wrong is None:
            good.append(clean)
        else:
            complaints.append(f"{_shown(clean)} {wrong}")
    distinct = deduplicate(good)
    if len(distinct) < len(good):
        complaints.append(f"{len(good) - len(distinct)} attributes are repeated")
    return _Reading(distinct, tuple(complaints))


def _chosen(lists: list[list[_Reading]], count: int) -> _Reading:
    """Choose the list that was asked for.

    As many attributes as asked for are the best sign of it, and of several lists the last: drafts
    come before the answer. Where no list has enough, they are parts of one, under headings.
    """
    best = [min(own, key=lambda reading: _distance(reading, count)) for own in lists]
    closest = min(reversed(best), key=lambda reading: _distance(reading, count))
    if len(closest.usable) >= count:
        return closest
    usable = deduplicate(text for reading in best for text in reading.usable)
    return _Reading(usable, tuple(text for reading in best for text in reading.complaints))


def _distance(reading: _Reading, count: int) -> int:
    """0: exactly what was asked for; 1: more; above: the fewer, the worse."""
    missing = count - len(reading.usable)
    return 1 if missing < 0 else missing and missing + 1


def _shown(text: str) -> str:
    short = text if len(text) <= 60 else f"{text[:57]}..."
    return repr(short)
