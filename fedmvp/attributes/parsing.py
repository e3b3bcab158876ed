"""Reading a language model's answer strictly: JSON or bullets, exactly N good attributes."""

from __future__ import annotations

import json
import re

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

_FENCE = re.compile(r"\A```[a-zA-Z]*\s*\n(.*?)\n?```\s*\Z", re.DOTALL)
_BULLET = re.compile(r"^\s*(?:[-*•–]|\(?\d{1,3}[.)])\s+(.*)$")
_SHOWN = 5


class AnswerError(Exception):
    """An answer that cannot be used; the text is what the model is told about it."""


def parse_answer(text: str, *, class_name: str, count: int) -> tuple[str, ...]:
    """Return the first `count` valid, distinct attributes of an answer.

    Parameters
    ----------
    text : str
        A JSON object ``{"attributes": [...]}``, a JSON list, or one bulleted attribute per line;
        a Markdown code fence around it is taken off.
    class_name : str
        Attributes naming it are not valid.
    count : int
        Attributes wanted; further ones are left out.

    Raises
    ------
    AnswerError
        When it has another form or too few valid attributes.
    """
    if len(text) > MAX_ANSWER_CHARACTERS:
        raise AnswerError(f"it is {len(text)} characters long")
    items = _items(text.strip())
    good: list[str] = []
    complaints: list[str] = []
    for item in items:
        clean = normalise(item)
        wrong = complaint(clean, class_name)
        if wrong is None and len(clean.split()) > MAX_WORDS:
            wrong = f"has more than {MAX_WORDS} words"
        if wrong is None:
            good.append(clean)
        else:
            complaints.append(f"{_shown(clean)} {wrong}")
    distinct = deduplicate(good)
    if len(distinct) >= count:
        return distinct[:count]
    if len(distinct) < len(good):
        complaints.append(f"{len(good) - len(distinct)} attributes are repeated")
    details = "".join(f"; {text}" for text in complaints[:_SHOWN])
    raise AnswerError(f"{len(distinct)} usable attributes instead of {count}{details}")


def _items(text: str) -> list[str]:
    """Return the raw attribute texts of an answer."""
    if fenced := _FENCE.match(text):
        text = fenced[1].strip()
    if not text:
        raise AnswerError("it is empty")
    if text[0] in "{[":
        return _json_items(text)
    matches = (_BULLET.match(line) for line in re.split(r"\r?\n", text))
    items = [_undecorated(match[1]) for match in matches if match]
    if not items:
        raise AnswerError('it is neither a JSON object nor a list of lines that start with "- "')
    return items


def _json_items(text: str) -> list[str]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise AnswerError("it is not valid JSON") from None
    items = value.get("attributes") if isinstance(value, dict) else value
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise AnswerError('it is not a JSON object {"attributes": [list of strings]}')
    return items


def _undecorated(text: str) -> str:
    """Take Markdown emphasis and quotes off a bulleted attribute."""
    return text.strip().strip('*_`"').strip()


def _shown(text: str) -> str:
    short = text if len(text) <= 60 else f"{text[:57]}..."
    return repr(short)
