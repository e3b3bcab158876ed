"""From an icon's slug to a phrase: drop what names a drawing style, keep what names the thing."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["is_skipped", "phrase"]

# Words that icon sets append to say how an icon is drawn, not what it shows.
_STYLE_WORDS = frozenset(
    """
    outline outlined filled fill bold thin light regular duotone solid line linear broken
    rounded round sharp twotone two tone alt o variant mini micro stroke flat duo remix
    freehand poly sm md lg xs xl ios android logo icon""".split()  # noqa: SIM905
)
_STYLE_PREFIXES = frozenset(["baseline", "outline", "round", "sharp", "twotone"])
_APOSTROPHES = {"oclock": "o'clock", "mans": "man's", "womans": "woman's", "workers": "worker's"}
_SIZE = re.compile(r"^\d+(px|x\d+)?$|^x?\d+$")
_SKIPPED = re.compile(
    r"skin-tone|-tone\d|^flag-for-|^keycap|^regional-indicator|(light|dark|medium)-skin"
)


def is_skipped(slug: str) -> bool:
    """Return whether a slug is a skin-tone variant, a national flag or a letter key."""
    return _SKIPPED.search(slug) is not None


def phrase(slug: str, suffixes: Iterable[str] = (), strip_style: bool = True) -> str:
    """Turn `"polar-bear-outline-24"` into `"polar bear"`.

    Parameters
    ----------
    suffixes : iterable of str
        The style suffixes that the icon set declares, without the joining dash.
    strip_style : bool, default=True
        Also drop general style words and sizes at both ends. Emoji sets lose a final number only:
        there "light bulb" and "8 ball" are things.
    """
    for suffix in sorted((s for s in suffixes if s), key=len, reverse=True):
        if slug.endswith("-" + suffix):
            slug = slug[: -len(suffix) - 1]
            break
    words = slug.replace("_", "-").split("-")
    if strip_style:
        while len(words) > 1 and (words[-1] in _STYLE_WORDS or _SIZE.match(words[-1])):
            words.pop()
        while len(words) > 1 and (words[0] in _STYLE_PREFIXES or _SIZE.match(words[0])):
            words.pop(0)
    elif len(words) > 1 and words[-1].isdigit():
        words.pop()
    return " ".join(_APOSTROPHES.get(word, word) for word in words if word)
