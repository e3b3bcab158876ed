"""Texts longer than CLIP reads: its tokenizer cuts them at 77 tokens, whatever follows.

English attributes are far shorter; scripts that are not in CLIP's vocabulary take two or three
tokens per letter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fedmvp.attributes.sentences import sentence
from fedmvp.errors import AttributeTextError, one_line

__all__ = ["CONTEXT_LENGTH", "CutText", "cut_texts", "report_cut_texts"]

#: Tokens a text of CLIP may have, start and end included.
CONTEXT_LENGTH = 77
# Most bytes, and so tokens, of one letter once it is cleaned and in lower case.
_MOST_TOKENS_OF_A_LETTER = 6
_SHOWN = 5


@dataclass(frozen=True)
class CutText:
    """A text that CLIP does not read to its end.

    Attributes
    ----------
    class_name : str
    text : str
        The whole sentence.
    tokens : int
        Start and end included.
    """

    class_name: str
    text: str
    tokens: int


def cut_texts(
    classes: Mapping[str, Sequence[str]], parts: Iterable[tuple[str, str]]
) -> tuple[CutText, ...]:
    """Return the attributes whose sentence is cut, each with its longest sentence.

    The tokenizer, and torch with it, is loaded only for texts that may be too long.

    Parameters
    ----------
    classes : mapping of str to sequence of str
        Attributes by class name.
    parts : iterable of (str, str)
        Prefix and suffix of the dataset's sentences, of every domain.
    """
    ways = list(parts)
    long = [
        (name, text)
        for name, own in classes.items()
        for attribute in own
        for prefix, suffix in ways
        if _may_be_cut(text := sentence(name, attribute, prefix=prefix, suffix=suffix))
    ]
    if not long:
        return ()
    from fedmvp.clip.tokens import count_tokens

    counts = count_tokens([text for _, text in long])
    cut = [
        CutText(name, text, tokens)
        for (name, text), tokens in zip(long, counts, strict=True)
        if tokens > CONTEXT_LENGTH
    ]
    return tuple(cut)


def report_cut_texts(dataset: str, cut: Sequence[CutText], *, refuse: bool) -> list[str]:
    """Return warnings about cut texts, with class and text; five, and how many more.

    Raises
    ------
    AttributeTextError
        With the first of them, when they are to be refused.
    """
    if cut and refuse:
        first = cut[0]
        raise AttributeTextError(
            f"a text of {first.tokens} tokens, of which CLIP reads {CONTEXT_LENGTH} "
            f"({len(cut)} such texts; this is the first)",
            where=_place(dataset, first),
            value=first.text,
            hint="shorten the attribute, write it in English, or set attributes.long_texts to warn",
        )
    lines = [
        f"{_place(dataset, text)}: {text.text!r} has {text.tokens} tokens; CLIP reads "
        f"{CONTEXT_LENGTH}, the rest is cut off"
        for text in cut[:_SHOWN]
    ]
    if len(cut) > _SHOWN:
        lines.append(f"attributes of {dataset}: {len(cut) - _SHOWN} more texts are cut off")
    return [f"warning: {one_line(line, 600)}" for line in lines]


def _place(dataset: str, text: CutText) -> str:
    return f"attributes of {dataset}, class {text.class_name!r}"


def _may_be_cut(text: str) -> bool:
    """Tell whether a text can have more tokens than CLIP reads: no token is less than a byte."""
    most = sum(
        1 if letter.isascii() else _MOST_TOKENS_OF_A_LETTER for letter in text if letter != " "
    )
    return most > CONTEXT_LENGTH - 2
