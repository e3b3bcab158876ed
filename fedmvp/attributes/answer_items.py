"""The lists in a model's answer: JSON, bullets, numbers, tables, with or without prose around."""

from __future__ import annotations

import ast
import json
import re
import unicodedata
from dataclasses import dataclass, field
from typing import Any

from fedmvp.attributes.item_text import is_label

__all__ = ["AnswerLists", "answer_lists", "without_reasoning"]

_THOUGHT = r"[\w:.-]*(?:think|thought|reason|scratchpad|reflection|analysis)[\w:.-]*"
_OPENED = re.compile(rf"[<\[◁]\s*{_THOUGHT}\s*[>\]▷]", re.IGNORECASE)
_CLOSED = re.compile(rf"[<\[◁]\s*/\s*{_THOUGHT}\s*[>\]▷]", re.IGNORECASE)
# Channels of a model: what it says to the user comes last.
_FINAL = re.compile(r"<\|channel\|>\s*final\s*(?:<\|[^|>]*\|>\s*)*")
_CHANNEL = re.compile(r"<\|channel\|>\s*(?:analysis|commentary)")

_JSON_START = re.compile(r"[\[{]\s*[\"']|\[\s*\{")
_MOST_STARTS = 20
_STRING_OR_COMMA = re.compile(r'"(?:[^"\\\n]|\\.)*"|,(?=\s*[\]}])')
_CURLY = str.maketrans({"“": '"', "”": '"'})
_ATTRIBUTE_KEYS = ("attribute", "visual_attribute", "text", "phrase")

_FENCE = re.compile(r"^\s*(?:`{3,}|~{3,})[\w-]*\s*$")
_LIST_TAGS = re.compile(r"</?(?:ul|ol)[^>]*>|</li>", re.IGNORECASE)
_RULE = re.compile(r"^\s*(?:[-*_]\s*){3,}$")
_BOLD_NUMBER = re.compile(r"^(\s*)(?:#{1,6}\s+)?(\*\*|__)?(\d{1,3}[.)])\s*(\2)?\s*")
_MARKER = re.compile(
    r"""(?P<indent>\s*)(?:
        [-*+–—]\s+ | -(?=[^\W\d_])                # - a
      | [•‣◦▪▫●○■□·・➤►▸✦❖→⁃∙]\s*                  # • a
      | [(（]?\d{1,3}[.)\]:]\s+                   # 1. a
      | [(（]?\d{1,3}[.)、．）]\s*(?=[^\s\d])     # 1、a
      | \d{1,3}\s+[-–—]\s+                       # 1 - a
      | \d\ufe0f?\u20e3\s*                        # 1 in a keycap
      | [(（]?[a-zA-Z][)）]\s+                     # a) a
      | [①-⑳❶-❿]\s*                              # ① a
    )(?P<text>.*)""",
    re.VERBOSE,
)
_SEPARATOR = re.compile(r"^\s*\|?\s*:?-{2,}:?\s*(?:\|\s*:?-{2,}:?\s*)*\|?\s*$")


@dataclass
class AnswerLists:
    """The content of an answer.

    Attributes
    ----------
    lists : list of list of list of str
        In the order they stand, those of JSON last. Each in one or more readings, the likelier
        first: of nested lists, the upper items or the lower ones. Items are as written.
    prose : str
        The text around them.
    fault : str
        Why what looks like JSON is not a list of texts; empty if it is one, or if there is none.
    """

    lists: list[list[list[str]]] = field(default_factory=list)
    prose: str = ""
    fault: str = ""


@dataclass
class _Entry:
    indent: int
    text: str


def without_reasoning(text: str) -> str | None:
    """Return what follows a model's reasoning, marked by tags or channels; None if it never ends.

    Examples
    --------
    >>> without_reasoning("<think>- not this</think>- long neck")
    '- long neck'
    """
    for closed in reversed([*_FINAL.finditer(text), *_CLOSED.finditer(text)]):
        text = text[closed.end() :]
        break
    return None if _OPENED.search(text) or _CHANNEL.search(text) else text


def answer_lists(text: str) -> AnswerLists:
    """Find every list of an answer."""
    found = AnswerLists()
    rest = _take_json(text, found)
    if not found.lists and text.translate(_CURLY) != text:
        curly = AnswerLists()
        without = _take_json(text.translate(_CURLY), curly)
        if curly.lists:
            found, rest = curly, without
    of_json, found.lists = found.lists, []
    lines = [line for line in _lines(rest) if not _FENCE.match(line)]
    lines = _take_tables(lines, found)
    prose = _take_bullets(lines, found)
    if not found.lists and not of_json:
        bold = [line.strip() for line in prose if line.strip().startswith("**")]
        found.lists += [[bold]] if len(bold) > 1 else []
    found.lists += of_json
    found.prose = "\n".join(prose)
    if not found.lists and not found.fault and text.lstrip("`json \n")[:1] in ("{", "["):
        found.fault = "it is not valid JSON"
    return found


def _take_json(text: str, found: AnswerLists) -> str:
    """Add the lists of JSON values; return the text without them."""
    rest, end = "", 0
    even = _STRING_OR_COMMA.sub(lambda match: match[0] if match[0] != "," else " ", text)
    for start in [match.start() for match in _JSON_START.finditer(even)][:_MOST_STARTS]:
        if start < end:
            continue
        value, stop = _decoded(even, start)
        if stop == start:
            continue
        rest += text[end:start]
        end = stop
        items = _items(value)
        if items is None:
            found.fault = 'it is not a JSON object {"attributes": [list of strings]}'
        else:
            found.lists.append([items])
    return rest + text[end:]


def _decoded(text: str, start: int) -> tuple[Any, int]:
    """Return the JSON value or Python literal at `start`, and its end; `start` for none."""
    try:
        return json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError):
        stop = text.rfind("]" if text[start] == "[" else "}") + 1
    try:
        return ast.literal_eval(text[start:stop]), stop
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None, start


def _items(value: Any) -> list[str] | None:
    """Return the texts of a JSON value of any likely form; None if it has another."""
    if isinstance(value, dict):
        inside = next(
            (own for key, own in value.items() if str(key).casefold() == "attributes"), None
        )
        if inside is None:
            deep = [own for own in value.values() if isinstance(own, list | dict)]
            inside = deep[0] if len(deep) == 1 else value
        if isinstance(inside, dict):
            return _labelled(inside)
        value = inside
    if not isinstance(value, list):
        return None
    items = [_one(item) for item in value]
    return None if None in items else [item for item in items if item is not None]


def _labelled(value: dict[Any, Any]) -> list[str] | None:
    """Return the texts of an object of label to text or texts."""
    items: list[str] = []
    for key, own in value.items():
        texts = own if isinstance(own, list) else [own]
        if not all(isinstance(text, str) for text in texts):
            return None
        label = "" if str(key).isdecimal() or isinstance(own, list) else f"{key}: "
        items += [label + text for text in texts]
    return items


def _one(item: Any) -> str | None:
    """Return the text of a list's item: a text, or an object that holds one."""
    if isinstance(item, str):
        return item
    if not isinstance(item, dict):
        return None
    texts = {str(key).casefold(): own for key, own in item.items() if isinstance(own, str)}
    for key in _ATTRIBUTE_KEYS:
        if key in texts:
            return texts[key]
    return ": ".join([*texts.values()][:2]) or None


def _lines(text: str) -> list[str]:
    text = re.sub(r"<li[^>]*>", "\n- ", text, flags=re.IGNORECASE)
    text = _LIST_TAGS.sub("\n", text).expandtabs(4)
    return [
        re.sub(r"^(?:\s{0,3}>\s?)+", "", line) for line in re.split(r"\r\n|[\n\r\x85\u2028]", text)
    ]


def _take_tables(lines: list[str], found: AnswerLists) -> list[str]:
    """Add the rows of Markdown tables; return the other lines."""
    rest: list[str] = []
    place = 0
    while place < len(lines):
        is_head = place + 1 < len(lines) and "|" in lines[place]
        if not (is_head and _SEPARATOR.match(lines[place + 1])):
            rest.append(lines[place])
            place += 1
            continue
        place += 2
        rows: list[list[str]] = []
        while place < len(lines) and "|" in lines[place]:
            cells = re.split(r"(?<!\\)\|", lines[place].strip().strip("|"))
            rows.append([cell.strip() for cell in cells if any(map(str.isalpha, cell))])
            place += 1
        found.lists.append([[": ".join(row[:2]) for row in rows if row]])
        rest.append("")
    return rest


def _take_bullets(lines: list[str], found: AnswerLists) -> list[str]:
    """Add the bulleted and numbered lists; return the lines that are prose."""
    prose: list[str] = []
    entries: list[_Entry] = []
    for line in lines:
        if not line.strip():
            continue
        entry = None if _RULE.match(line) else _entry(line)
        if entry is not None:
            entries.append(entry)
        elif entries and len(line) - len(line.lstrip()) > entries[-1].indent:
            _continue(entries[-1], line.strip())
        else:
            prose.append(line)
            _close(entries, found)
            entries = []
    _close(entries, found)
    return prose


def _entry(line: str) -> _Entry | None:
    line = _BOLD_NUMBER.sub(
        lambda match: f"{match[1]}{match[3]} {'' if match[4] else match[2] or ''}", line
    )
    if marked := _MARKER.fullmatch(line):
        return _Entry(len(marked["indent"]), marked["text"])
    bare = line.lstrip()
    if unicodedata.category(bare[0]) == "So":
        return _Entry(len(line) - len(bare), bare[1:])
    return None


def _continue(entry: _Entry, more: str) -> None:
    """Join a line that was only wrapped; a sentence below an item explains it."""
    if more[0].islower() and not entry.text.rstrip().endswith((".", ":", ";", "**", "!")):
        entry.text = f"{entry.text} {more}"


def _close(entries: list[_Entry], found: AnswerLists) -> None:
    if not entries:
        return
    least = min(entry.indent for entry in entries)
    following = [entry.indent for entry in entries[1:]] + [0]
    holds = [after > entry.indent for entry, after in zip(entries, following, strict=True)]
    upper = [
        entry.text.rstrip().rstrip(":：") if holder else entry.text
        for entry, holder in zip(entries, holds, strict=True)
        if entry.indent == least
    ]
    lower = [entry.text for entry, holder in zip(entries, holds, strict=True) if not holder]
    readings = [upper]
    if any(holds):
        labels = [is_label(entry.text) for entry, own in zip(entries, holds, strict=True) if own]
        readings = [lower, upper] if all(labels) else [upper, lower]
    found.lists.append(readings)
