"""Opening a kit's site; a site that cannot be opened still answers, with the reason."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fedmvp.errors import MessageError
from fedmvp.federation.flare.layout import Kit
from fedmvp.federation.messages import (
    Description,
    EvaluateReply,
    Refusal,
    StartReply,
    TrainReply,
)
from fedmvp.federation.plan import load_plan
from fedmvp.federation.site import Site
from fedmvp.federation.site_config import load_site_config
from fedmvp.federation.site_errors import scrubbed
from fedmvp.federation.wire import Shapes, decode, encode, reply_limit, round_of

__all__ = ["AnsweringSite", "open_site", "site_log"]

_REPLIES = (TrainReply, EvaluateReply, StartReply, Description, Refusal)


class AnsweringSite:
    """A site, opened or not: answers messages, and checks what it sends.

    Parameters
    ----------
    client : str
        The site's name.
    handle : callable
        Turns a message into a reply, both bytes; raises nothing.
    shapes : mapping of str to tuple of int
        Of the tensors that may be sent.
    """

    def __init__(self, client: str, handle: Callable[[bytes], bytes], shapes: Shapes) -> None:
        self.client = client
        self.handle = handle
        self.shapes = shapes

    def check_reply(self, content: bytes) -> None:
        """Refuse a reply that may not be sent.

        Raises
        ------
        MessageError
            When its kind or a tensor's name, shape or format is not an agreed one, when values are
            not finite, when it is too long, or when it carries another client's name.
        """
        limit = reply_limit(self.shapes)
        where = "outgoing message"
        reply: Any = decode(content, _REPLIES, self.shapes, limit=limit, where=where)
        if reply.client != self.client:
            raise MessageError(
                "carries another client's name",
                where=where,
                value=reply.client,
                hint="this is a fault of the program: report it",
            )


def open_site(kit: Kit) -> AnsweringSite:
    """Load CLIP, images and texts of a kit's site."""
    log = site_log(kit.log)
    try:
        config = load_site_config(kit.site)
        site = Site.open(config, load_plan(kit.plan), kit.state, log)
    except Exception as error:  # a process that ended would end the whole federation's job
        log("".join(traceback.format_exception(error)))
        return _closed(kit.name, error)
    return AnsweringSite(config.client, site.handle, site.shapes)


def site_log(path: Path) -> Callable[[str], None]:
    """Return a function that appends to the site's own log, and ignores a full disk."""

    def log(text: str) -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(f"{now} {text.rstrip()}\n")
        except OSError:
            return

    return log


def _closed(client: str, error: Exception) -> AnsweringSite:
    """Return a site that answers every message with the reason why it could not be opened."""

    def handle(content: bytes) -> bytes:
        failure = scrubbed(client, round_of(content), error)
        return encode(Refusal(client, failure.round_index, failure.error, failure.trace))

    return AnsweringSite(client, handle, {})
