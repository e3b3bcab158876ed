"""The supervisor's session at the server: which sites are connected, and how a job is doing."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedmvp.federation.flare.layout import Organiser
from fedmvp.federation.flare.policy import ADMIN

__all__ = ["Session", "Unreachable", "open_session"]

_CONNECT_S = 5.0
_COMPLETED = "FINISHED:COMPLETED"


class Unreachable(Exception):
    """The server does not answer at the moment."""


@dataclass
class Session:
    """An open session of the organiser's user.

    Parameters
    ----------
    api : nvflare.fuel.flare_api.flare_api.Session
    """

    api: Any

    def sites(self) -> list[str]:
        """Return the names of the sites that are connected, sorted.

        Raises
        ------
        Unreachable
        """
        with _reaching():
            return sorted(client.name for client in self.api.get_system_info().client_info)

    def submit(self, folder: Path) -> str:
        """Hand in a job, and return its id.

        Raises
        ------
        Unreachable
        """
        with _reaching():
            return str(self.api.submit_job(str(folder)))

    def status(self, job: str) -> str:
        """Return FLARE's status of a job, e.g. ``RUNNING``.

        Raises
        ------
        Unreachable
        """
        with _reaching():
            return str(self.api.get_job_meta(job)["status"])

    def abort(self, job: str) -> None:
        """Abort a job; do nothing if it has ended or FLARE no longer knows it."""
        with contextlib.suppress(Exception):
            self.api.abort_job(job)

    def close(self) -> None:
        """Log out."""
        with contextlib.suppress(Exception):
            self.api.close()


def open_session(organiser: Organiser) -> Session:
    """Log in.

    Raises
    ------
    Unreachable
        When the server does not answer yet.
    """
    from nvflare.fuel.flare_api.flare_api import new_secure_session

    logging.getLogger("nvflare").setLevel(logging.CRITICAL)
    logging.getLogger().addHandler(logging.NullHandler())
    # FLARE prints about it on stdout, in the middle of our table.
    with _reaching(), contextlib.redirect_stdout(io.StringIO()):
        return Session(
            new_secure_session(
                ADMIN, str(organiser.admin), timeout=_CONNECT_S, auto_login_max_tries=1
            )
        )


@contextlib.contextmanager
def _reaching() -> Iterator[None]:
    """Turn whatever FLARE raises into `Unreachable`; it has a dozen kinds, none documented."""
    try:
        yield
    except Exception as error:
        raise Unreachable(f"{type(error).__name__}: {error}") from error
