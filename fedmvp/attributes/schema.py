"""What an attribute is: a short, clean, visual phrase that does not give its class away.

Rules for one text (`check_attribute`) and for a class's list (`check_list`). Lists may be ragged:
any number per class from one up.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from fedmvp.errors import AttributeTextError

__all__ = [
    "MAX_CHARACTERS",
    "check_attribute",
    "check_list",
    "complaint",
    "content_words",
    "deduplicate",
    "names_class",
    "normalise",
    "spoken_name",
]

# The longest attribute published with the paper makes a 117-character sentence of 33 CLIP tokens
# (docs/method.md#difference-truncate); twice that still fits CLIP's 77 tokens.
MAX_CHARACTERS = 160
MAX_PER_CLASS = 100

# Words that carry no content in a class name.
_FILLERS = frozenset(
    re.findall(r"\w+", "a an and at by for from in into of off on or the to with without")
)
_NAMES_CLASS = "names its own class"
_QUOTES = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "‐": "-", "‑": "-", "–": "-"})
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")


def normalise(text: str) -> str:
    """Return `text` in NFKC, with plain quotes and hyphens, single spaces and no final full stop.

    Control and other unprintable characters are kept, so that `complaint` can name them.

    Examples
    --------
    >>> normalise("  long neck. ")
    'long neck'
    """
    plain = unicodedata.normalize("NFKC", text).translate(_QUOTES)
    return re.sub(r"[ \u00a0]+", " ", plain).strip(" ").rstrip(" .;,")


def spoken_name(class_name: str) -> str:
    """Return a class name as it is read out: underscores become spaces, one printable line.

    Letters are composed (NFC): some file systems and editors take them apart.

    Examples
    --------
    >>> spoken_name("car_side")
    'car side'
    """
    composed = unicodedata.normalize("NFC", class_name.replace("_", " "))
    flat = "".join(c if c.isprintable() else " " for c in composed)
    return " ".join(flat.split())


def _words(text: str) -> list[str]:
    """Return lower-case words with possessives and plurals reduced."""
    plain = unicodedata.normalize("NFKC", text).translate(_QUOTES).casefold().replace("_", " ")
    return [_singular(word) for word in _WORD.findall(plain)]


def _singular(word: str) -> str:
    word = word.removesuffix("'s")
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("ches", "shes", "sses", "xes", "zes")):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def content_words(class_name: str) -> frozenset[str]:
    """Return the words of a class name that carry its meaning, singular and lower case."""
    words = _words(class_name)
    return frozenset(word for word in words if word not in _FILLERS) or frozenset(words)


def names_class(text: str, class_name: str) -> bool:
    """Tell whether `text` gives the class away.

    It does when all content words of the name occur in it, in any order, singular or plural, or
    when neighbouring words joined spell the name (``cup cake`` for ``cupcake``). A part of a
    longer name is not a name: ``black fur`` may describe ``black cat``.

    Examples
    --------
    >>> names_class("many cats", "cat"), names_class("caterpillar tracks", "cat")
    (True, False)
    """
    words = _words(text)
    wanted = content_words(class_name)
    if wanted and wanted <= set(words):
        return True
    joined = "".join(_words(class_name))
    return len(joined) > 3 and any(
        "".join(words[start : start + length]) == joined
        for length in (1, 2, 3)
        for start in range(len(words))
    )


def complaint(text: str, class_name: str, *, may_name_class: bool = False) -> str | None:
    """Return what is wrong with a normalised attribute, or None when it is fine.

    The wording is shown to users and, on a retry, to the language model.
    """
    if not text:
        return "is empty"
    if len(text) > MAX_CHARACTERS:
        return f"has {len(text)} characters, more than {MAX_CHARACTERS}"
    if not text.isprintable():
        # Control, invisible, surrogate, private and unassigned characters, and odd spaces.
        bad = next(c for c in text if not c.isprintable())
        return f"holds the unprintable character U+{ord(bad):04X}"
    if not any(c.isalpha() for c in text):
        return "has no letter"
    if not may_name_class and names_class(text, class_name):
        return _NAMES_CLASS
    return None


def deduplicate(texts: Iterable[str]) -> tuple[str, ...]:
    """Drop later texts equal to an earlier one but for case, order kept."""
    seen: dict[str, str] = {}
    for text in texts:
        seen.setdefault(text.casefold(), text)
    return tuple(seen.values())


def check_attribute(
    text: object, *, dataset: str, class_name: str, may_name_class: bool = False
) -> str:
    """Return the normalised attribute.

    Raises
    ------
    AttributeTextError
        When it is not text, empty, too long, unprintable or names its class.
    """
    where = f"attributes of {dataset}, class {class_name!r}"
    if not isinstance(text, str):
        raise AttributeTextError(
            "attribute is not a text",
            where=where,
            value=text,
            hint="give each attribute as a JSON string",
        )
    clean = normalise(text)
    if wrong := complaint(clean, class_name, may_name_class=may_name_class):
        raise AttributeTextError(
            f"attribute {wrong}",
            where=where,
            value=text,
            hint="reword it as a short phrase of what is seen, without the name of the class"
            + ("; or set attributes.naming to drop or keep" if wrong == _NAMES_CLASS else ""),
        )
    return clean


def check_list(
    texts: object, *, dataset: str, class_name: str, may_name_class: bool = False
) -> tuple[str, ...]:
    """Return a class's attributes, normalised; 1 to 100 of them, all distinct.

    Raises
    ------
    AttributeTextError
        With dataset, class, value and hint.
    """
    where = f"attributes of {dataset}, class {class_name!r}"
    if not isinstance(texts, list | tuple):
        raise AttributeTextError(
            "not a list of texts",
            where=where,
            value=texts,
            hint="give the class a JSON list of strings",
        )
    if not 1 <= len(texts) <= MAX_PER_CLASS:
        raise AttributeTextError(
            f"{len(texts)} attributes instead of 1 to {MAX_PER_CLASS}",
            where=where,
            hint="give the class at least one",
        )
    clean = [
        check_attribute(text, dataset=dataset, class_name=class_name, may_name_class=may_name_class)
        for text in texts
    ]
    seen: set[str] = set()
    for text in clean:
        if text.casefold() in seen:
            raise AttributeTextError(
                "the same attribute twice",
                where=where,
                value=text,
                hint="remove or reword one of them",
            )
        seen.add(text.casefold())
    return tuple(clean)
