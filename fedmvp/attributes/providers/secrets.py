"""Keeping keys and passwords out of messages, without ever touching an answer.

A key may be any text: `k`, `token`, `ollama`. So what is shown to people is cleaned of it, and what
a model answers is not: a recorded text does not depend on the key in use.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from urllib.parse import parse_qsl, unquote, urlsplit

__all__ = ["Secrets", "secrets_of_address"]

# Shorter ones, and those without digits, occur in plain text: they are no find, and removed from
# messages only where they stand alone.
_UNMISTAKABLE = 16


class Secrets:
    """Texts that must not be shown.

    Parameters
    ----------
    texts : iterable of str
        Keys, names, passwords; empty ones are left out.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        # Longest first, so that no part of one survives the removal of another.
        self._texts = sorted({*filter(None, texts)}, key=lambda text: (-len(text), text))

    def cleaned(self, text: str) -> str:
        """Return a message without them; a short one only where it stands as a word of its own."""
        for secret in self._texts:
            pattern = re.escape(secret)
            if not _unmistakable(secret):
                pattern = rf"(?<!\w){pattern}(?!\w)"
            text = re.sub(pattern, "[secret]", text)
        return text

    def revealed_by(self, text: str) -> bool:
        """Tell whether a text holds one that cannot be there by chance."""
        return any(_unmistakable(secret) and secret in text for secret in self._texts)


def secrets_of_address(address: str) -> Iterator[str]:
    """Yield user, password and query values of a URL, as written and decoded."""
    parts = urlsplit(address)
    account = parts.netloc.rpartition("@")[0]
    name, _, password = account.partition(":")
    for text in (account, name, password):
        yield from (text, unquote(text))
    for written in parts.query.split("&"):
        yield written.partition("=")[2]
    yield from (value for _, value in parse_qsl(parts.query))


def _unmistakable(secret: str) -> bool:
    letters, digits = any(map(str.isalpha, secret)), any(map(str.isdigit, secret))
    return len(secret) >= _UNMISTAKABLE and letters and digits
