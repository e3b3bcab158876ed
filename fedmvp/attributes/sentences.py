"""Texts CLIP reads for a class list: sentences with attributes, and the attributes alone.

Sentence form and clause rule are the official code's (docs/method.md#sentences), except that
sentences are kept whole for the tokenizer: the code's cut at 77 *characters* is an option.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from fedmvp.attributes.schema import spoken_name
from fedmvp.errors import AttributeTextError

__all__ = ["ClassTexts", "Clause", "Truncate", "attribute_clause", "class_texts", "sentence"]

Truncate = Literal["tokens77", "chars77"]
Clause = Literal["letter", "word"]

CHARACTERS = 77
_IS = ("used",)
_AS_IT_IS = ("has", "often", "typically", "may", "can")


def attribute_clause(attribute: str, clause: Clause = "letter") -> str:
    """Return the which-clause of an attribute.

    Parameters
    ----------
    attribute : str
        A normalised attribute.
    clause : {"letter", "word"}
        ``letter`` is the official rule: it looks at the first letters only, so every attribute
        that begins with an "a" reads "which is …". ``word`` looks at whole words.

    Examples
    --------
    >>> attribute_clause("long neck"), attribute_clause("amber eyes")
    ('which has long neck', 'which is amber eyes')
    >>> attribute_clause("amber eyes", "word"), attribute_clause("a tall tower", "word")
    ('which has amber eyes', 'which is a tall tower')
    """
    if clause == "letter":
        states = attribute.startswith(("a", *_IS))
        verb = attribute.startswith(_AS_IT_IS)
    else:
        first = attribute.split(" ", 1)[0].lower()
        states = first in ("a", "an", *_IS)
        verb = first in _AS_IT_IS
    if states:
        return f"which is {attribute}"
    return f"which {attribute}" if verb else f"which has {attribute}"


def sentence(
    class_name: str,
    attribute: str,
    *,
    prefix: str,
    suffix: str = "",
    truncate: Truncate = "tokens77",
    clause: Clause = "letter",
) -> str:
    """Return ``"{prefix} {class}, {suffix, }{which-clause}"`` without a final full stop.

    Parameters
    ----------
    class_name : str
        From the class list; underscores become spaces.
    prefix, suffix : str
        Of the dataset (and domain), e.g. ``"a photo of a"`` and ``"a type of flower,"``; the
        suffix's own comma is optional.
    truncate : {"tokens77", "chars77"}
        ``tokens77`` leaves cutting to the tokenizer; ``chars77`` cuts at 77 characters as the
        official code does.

    Examples
    --------
    >>> sentence("tiger_lily", "dark spots", prefix="a photo of a", suffix="a type of flower,")
    'a photo of a tiger lily, a type of flower, which has dark spots'
    """
    kind = suffix.strip().rstrip(",").rstrip()
    parts = [f"{prefix.strip()} {spoken_name(class_name)}".strip()]
    parts += [kind] if kind else []
    text = ", ".join([*parts, attribute_clause(attribute, clause)])
    return text[:CHARACTERS] if truncate == "chars77" else text


@dataclass(frozen=True)
class ClassTexts:
    """Texts of a class list, one per attribute, class-major; n = all attributes of all classes.

    Attributes
    ----------
    classes : tuple of str, [K]
        Names in label order.
    sentences : tuple of str, [n]
        Classifier texts T.
    attributes : tuple of str, [n]
        The same attributes alone: the bank A.
    class_index : tuple of int, [n]
        Index into `classes`, ascending; every class occurs at least once.
    """

    classes: tuple[str, ...]
    sentences: tuple[str, ...]
    attributes: tuple[str, ...]
    class_index: tuple[int, ...]


def class_texts(
    classes: Sequence[str],
    attributes: Mapping[str, Sequence[str]],
    *,
    prefix: str,
    suffix: str = "",
    truncate: Truncate = "tokens77",
    clause: Clause = "letter",
) -> ClassTexts:
    """Build the texts of a class list, by name, not by order (docs/method.md#defect-class-order).

    Parameters
    ----------
    classes : sequence of str, [K]
        Names in label order.
    attributes : mapping of str to sequence of str
        Attributes by class name; any number per class, other classes are ignored.
    prefix, suffix, truncate, clause
        See `sentence`.

    Raises
    ------
    AttributeTextError
        When a class is listed twice or has no attributes.
    """
    texts: list[str] = []
    raw: list[str] = []
    index: list[int] = []
    seen: set[str] = set()
    for label, name in enumerate(classes):
        if name in seen:
            raise AttributeTextError(
                "class is listed twice",
                where="class list",
                value=name,
                hint="give every class its own name",
            )
        seen.add(name)
        own = attributes.get(name, ())
        if not own:
            raise AttributeTextError(
                "class has no attributes",
                where="class list",
                value=name,
                hint="run the attributes stage for its dataset: `dvc repro attributes`",
            )
        texts += [
            sentence(
                name, attribute, prefix=prefix, suffix=suffix, truncate=truncate, clause=clause
            )
            for attribute in own
        ]
        raw += own
        index += [label] * len(own)
    return ClassTexts(tuple(classes), tuple(texts), tuple(raw), tuple(index))
