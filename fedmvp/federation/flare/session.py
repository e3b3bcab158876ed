"""The supervisor's line to the server: who is there, and what has become of a job."""

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
    """The server does not answer now."""


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
        """Return the engine's word for a job, e.g. ``RUNNING``.

        Raises
        ------
        Unreachable
        """
        with _reaching():
            return str(self.api.get_job_meta(job)["status"])

    def abort(self, job: str) -> None:
        """End a job; one that is over already, or stale, is left."""
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
    # The engine tells of it on stdout, in the middle of our table.
    with _reaching(), contextlib.redirect_stdout(io.StringIO()):
        return Session(
            new_secure_session(
                ADMIN, str(organiser.admin), timeout=_CONNECT_S, auto_login_max_tries=1
            )
        )


@contextlib.contextmanager
def _reaching() -> Iterator[None]:
    """Turn whatever the engine raises into one kind; it has a dozen, none of them documented."""
    try:
        yield
    except Exception as error:
        raise Unreachable(f"{type(error).__name__}: {error}") from error
