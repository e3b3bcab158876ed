"""A site's job process: it loads CLIP and the images once, then answers each message."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nvflare.apis.event_type import EventType
from nvflare.apis.executor import Executor
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.apis.signal import Signal

from fedmvp.federation.flare.layout import Kit
from fedmvp.federation.flare.message import content_of, message_of
from fedmvp.imports import uncollected

if TYPE_CHECKING:
    from fedmvp.federation.flare.opening import AnsweringSite

__all__ = ["SITE", "SiteExecutor"]

SITE = "fedmvp_site"
"""Key under which the site's filter finds the open site; it stays within the process."""


class SiteExecutor(Executor):  # type: ignore[misc]
    """Answers the server's messages; it takes no arguments, so a job cannot change what it does."""

    def __init__(self) -> None:
        super().__init__()
        self._site: AnsweringSite | None = None

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Open the site when the job starts."""
        if event_type == EventType.START_RUN:
            with uncollected():  # torch among them
                from fedmvp.federation.flare.opening import open_site
            name = fl_ctx.get_identity_name()
            workspace = Path(fl_ctx.get_engine().get_workspace().get_root_dir())
            self._site = open_site(Kit.of_process(workspace, name))
            fl_ctx.set_prop(SITE, self._site, private=True, sticky=True)

    def execute(
        self, task_name: str, shareable: Shareable, fl_ctx: FLContext, abort_signal: Signal
    ) -> Shareable:
        """Answer one message."""
        assert self._site is not None  # START_RUN comes first
        return message_of(self._site.handle(content_of(shareable)))
