"""Figures about attribute texts: counts, lengths, tokens, repetitions across classes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from fedmvp.attributes.schema import content_words, names_class

__all__ = ["AttributeStats", "attribute_stats"]


@dataclass(frozen=True)
class AttributeStats:
    """Figures of one dataset.

    Attributes
    ----------
    classes, attributes : int
        How many.
    per_class : tuple of int
        Fewest and most attributes of a class.
    characters : tuple of float
        Mean and longest of an attribute, in characters.
    words : tuple of float
        Mean and most, in words.
    tokens : tuple of float
        Mean and most, in CLIP's tokens, without start and end.
    shared : mapping of str to tuple of str
        Attributes that several classes have, with those classes.
    identical : tuple of tuple of str
        Groups of classes whose attributes are the same set: texts cannot tell them apart.
    naming : tuple of (str, str)
        Class and attribute, where the attribute names its class.
    overlapping : tuple of (str, str)
        Class and attribute, where they share a word without the attribute naming the class.
    """

    classes: int
    attributes: int
    per_class: tuple[int, int]
    characters: tuple[float, int]
    words: tuple[float, int]
    tokens: tuple[float, int]
    shared: Mapping[str, tuple[str, ...]]
    identical: tuple[tuple[str, ...], ...]
    naming: tuple[tuple[str, str], ...]
    overlapping: tuple[tuple[str, str], ...]


def attribute_stats(classes: Mapping[str, Sequence[str]]) -> AttributeStats:
    """Compute the figures of a dataset's attributes; at least one class with one attribute.

    Imports torch, for CLIP's tokenizer.
    """
    from fedmvp.clip.tokens import count_tokens

    texts = [text for own in classes.values() for text in own]
    owners: dict[str, list[str]] = defaultdict(list)
    sets: dict[frozenset[str], list[str]] = defaultdict(list)
    for name, own in classes.items():
        folded = frozenset(text.casefold() for text in own)
        sets[folded].append(name)
        for text in sorted(folded):
            owners[text].append(name)
    pairs = [(name, text) for name, own in classes.items() for text in own]
    naming = tuple((name, text) for name, text in pairs if names_class(text, name))
    counts = [len(own) for own in classes.values()]
    return AttributeStats(
        classes=len(classes),
        attributes=len(texts),
        per_class=(min(counts), max(counts)),
        characters=_mean_and_most([len(text) for text in texts]),
        words=_mean_and_most([len(text.split()) for text in texts]),
        tokens=_mean_and_most([tokens - 2 for tokens in count_tokens(texts)]),
        shared={text: tuple(names) for text, names in sorted(owners.items()) if len(names) > 1},
        identical=tuple(tuple(names) for names in sets.values() if len(names) > 1),
        naming=naming,
        overlapping=tuple(
            (name, text)
            for name, text in pairs
            if (name, text) not in naming and content_words(name) & content_words(text)
        ),
    )


def _mean_and_most(values: Sequence[int]) -> tuple[float, int]:
    return round(fmean(values), 2), max(values)
