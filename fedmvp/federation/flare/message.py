"""All that is sent through FLARE: the bytes of `fedmvp.federation.wire` in a Shareable."""

from __future__ import annotations

from nvflare.apis.shareable import Shareable

__all__ = ["content_of", "message_of"]

_KEY = "message"


def message_of(content: bytes) -> Shareable:
    """Wrap a message."""
    message = Shareable()
    message[_KEY] = content
    return message


def content_of(message: Shareable | None) -> bytes:
    """Unwrap a message; return empty bytes, which no reader accepts, if it does not hold one."""
    content = None if message is None else message.get(_KEY)
    return content if isinstance(content, bytes) else b""
