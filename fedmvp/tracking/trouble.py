"""Problems with the tracking store, reported in one line: never a traceback, never a password.

On a bad answer MLflow raises whatever its parser does: its own exceptions, those of requests,
SQLAlchemy and json, or a KeyError. So every call to it is made within `store_trouble`; the results
are files and are not affected.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from fedmvp.errors import ConfigError, FedMVPError, one_line

__all__ = ["GuardedClient", "given_by", "store_trouble", "without_secret"]

_SETTINGS = ("FEDMVP_TRACKING_URI", "MLFLOW_TRACKING_URI")
_SECRET_SETTINGS = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
_DEFAULT = "/.fedmvp/mlflow.db"
_AUTHORITY = re.compile(r"(://)[^/\s]*@")
_MOST_REASON = 240
# A pattern in MLflow's message, and what to do; the first that matches is used. No hint deletes
# anything: a store may have registered models and times of trainings that are in no file.
_HINTS: Mapping[str, str] = {
    "mlflow db upgrade": "back the database up, then run `mlflow db upgrade` on it; or use the "
    "MLflow that made it",
    "No module named": "install that package, the driver of the database",
    "Can't locate revision": "a newer MLflow made this database: use that version",
    "not a database": "restore the file from a backup or move it away: a new one is made from the "
    "results",
    "no such table": "restore the database from a backup or move it away: a new one is made from "
    "the results",
    "unable to open database file": "correct the path (in a URI of sqlite `%` is written %25, `?` "
    "%3F) or its permissions",
    "database is locked": "wait until the other process has ended",
    r"\b403\b|PERMISSION_DENIED": "ask for access to the server, or correct the user name and "
    "password",
    r"\b401\b|UNAUTHENTICATED": "correct the user name and password",
}
_OTHERWISE = "start the server again or correct the URI"


@contextlib.contextmanager
def store_trouble(uri: str, what: str = "the tracking store failed") -> Iterator[None]:
    """Turn whatever MLflow raises within the context into one error, without secrets.

    Parameters
    ----------
    uri : str
        The store.
    what : str
        What is wrong, in front of MLflow's own reason.

    Raises
    ------
    ConfigError
        For everything but our own errors, which pass.
    """
    try:
        yield
    except FedMVPError:
        raise
    except Exception as error:
        reason = _reason(error, uri)
        advice = next(
            (hint for sign, hint in _HINTS.items() if re.search(sign, reason)), _OTHERWISE
        )
        raise ConfigError(
            f"{what} ({one_line(reason, _MOST_REASON)})",
            where=given_by(uri),
            value=without_secret(uri),
            hint=f"{advice}; then run this again: the results are files and are safe",
        ) from (error if uri == without_secret(uri) else None)  # its message may hold the URI


class GuardedClient:
    """An MlflowClient whose every method is called under `store_trouble`."""

    def __init__(self, client: Any, uri: str) -> None:
        self._client, self._uri = client, uri

    def __getattr__(self, name: str) -> Any:
        return store_trouble(self._uri)(getattr(self._client, name))

    def artifacts(self, run: Any) -> Any:
        """Return what lists and writes the artifacts of a run, at the place the store names.

        The client's own methods remember a run's first place as long as the process lives: if the
        project has moved since, they would use the old place.
        """
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        with store_trouble(self._uri):
            repository = get_artifact_repository(run.info.artifact_uri, tracking_uri=self._uri)
        return GuardedClient(repository, self._uri)


def given_by(uri: str) -> str:
    """Return what named the store: a variable, the default file, or ``--store``."""
    for name in _SETTINGS:
        if os.environ.get(name) == uri:
            return name
    return ".fedmvp/mlflow.db" if uri.endswith(_DEFAULT) else "--store"


def without_secret(uri: str) -> str:
    """Return a URI fit for messages: no user name, no password, no query."""
    scheme, mark, rest = uri.partition("://")
    if not mark:
        scheme, rest = "", uri
    # Without a host there is no account: an @ in a database's path is part of its name.
    shown = rest if rest.startswith("/") else rest.rpartition("@")[2]
    return f"{scheme}{mark}{shown.partition('?')[0]}"


def _reason(error: Exception, uri: str) -> str:
    """Return an error's message without a page of HTML, an explanation's link, or a secret."""
    text = str(error).strip() or type(error).__name__
    text = re.split(r"\.? ?Response body: '?\s*<|\[SQL: |\(Background on this error", text)[0]
    if not isinstance(error, OSError) and type(error).__module__ == "builtins":
        text = f"{type(error).__name__}: {text}"  # a KeyError's message is but a word
    return _scrub(text.strip(), uri)


def _scrub(text: str, uri: str) -> str:
    for secret in sorted(_secrets(uri), key=len, reverse=True):
        text = text.replace(secret, "[secret]")
    return _AUTHORITY.sub(r"\1", text)


def _secrets(uri: str) -> set[str]:
    """Return the passwords a message could repeat, as written and decoded."""
    rest = uri.partition("://")[2]
    password = rest.rpartition("@")[0].partition(":")[2]
    queries = [pair.partition("=")[2] for pair in rest.partition("?")[2].split("&")]
    given = [password, *queries, *(os.environ.get(name, "") for name in _SECRET_SETTINGS)]
    return {form for value in given for form in (value, unquote(value)) if form}
