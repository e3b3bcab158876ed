"""The site's last look at what leaves, part of its own policy: no job can leave it out."""

from __future__ import annotations

from nvflare.apis.filter import Filter
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable

from fedmvp.federation.flare.executor import SITE
from fedmvp.federation.flare.message import content_of, message_of

__all__ = ["SiteFilter"]


class SiteFilter(Filter):  # type: ignore[misc]
    """Lets one message of the agreed kinds, names, shapes and size out, and nothing beside it."""

    def process(self, shareable: Shareable, fl_ctx: FLContext) -> Shareable:
        """Return a new message with the checked bytes alone.

        Raises
        ------
        MessageError
            When they are no message that may leave; FLARE then sends a return code and no data.
        """
        site = fl_ctx.get_prop(SITE)
        content = content_of(shareable)
        site.check_reply(content)
        return message_of(content)
