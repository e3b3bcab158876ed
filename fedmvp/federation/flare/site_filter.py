"""The site's last check of what it sends; its own policy requires it, so no job can avoid it."""

from __future__ import annotations

from nvflare.apis.filter import Filter
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable

from fedmvp.federation.flare.executor import SITE
from fedmvp.federation.flare.message import content_of, message_of

__all__ = ["SiteFilter"]


class SiteFilter(Filter):  # type: ignore[misc]
    """Lets a message of the agreed kinds, names, shapes and size pass, and nothing else."""

    def process(self, shareable: Shareable, fl_ctx: FLContext) -> Shareable:
        """Return a new message with only the checked bytes.

        Raises
        ------
        MessageError
            When the message may not be sent; FLARE then sends a return code without data.
        """
        site = fl_ctx.get_prop(SITE)
        content = content_of(shareable)
        site.check_reply(content)
        return message_of(content)
