"""Where the tracking store is, how it is opened, and how two writers stay out of each other's way.

mlflow takes 3.5 s to import, so it is imported where a client is opened and nowhere else.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from fedmvp.errors import ConfigError

__all__ = [
    "CONTENT_TAG",
    "FILES",
    "FINGERPRINT_TAG",
    "LIVE",
    "LIVE_IN_PART",
    "RECORDED_TAG",
    "SECONDS_TAG",
    "SEEN_TAG",
    "experiment_id",
    "last_signs",
    "locked",
    "open_client",
    "open_experiment",
    "recorded_contents",
    "set_defaults",
    "tracking_uri",
    "without_secret",
]

FINGERPRINT_TAG = "fedmvp.fingerprint"
CONTENT_TAG = "fedmvp.content"
"""Tag with the hash of all that was projected; a run without it is incomplete."""
RECORDED_TAG = "fedmvp.recorded"
"""Tag that says how a run came to be, and so what its times mean: FILES, LIVE or LIVE_IN_PART."""
FILES, LIVE, LIVE_IN_PART = "from files", "live", "live in part"
SECONDS_TAG = "training.seconds"
"""Tag of a live run: how long was trained, interruptions apart."""
SEEN_TAG = "fedmvp.seen"
"""Tag of a live run: when its training was last known to be there."""

# What mlflow calls training, as opposed to its default, applications of language models.
_KIND_TAG, _KIND = "mlflow.experimentKind", "custom_model_development"
_SQLITE = "sqlite:///"
_LOCK_TIMEOUT_S = 600.0
# Settings of mlflow for this process and those it starts, unless the user has set them.
_DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # An unreachable server must not hold up a pipeline for the quarter of an hour mlflow would try.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    # Else every run's page is printed, with the password that may be in the server's address.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # The server's runners of evaluation jobs take half of its start-up time.
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}


def tracking_uri(root: Path, uri: str | None = None) -> str:
    """Return the store's URI: `uri`, FEDMVP_TRACKING_URI, MLFLOW_TRACKING_URI or the default.

    The default is ``<root>/.fedmvp/mlflow.db`` as an absolute sqlite URI: mlflow's own default
    depends on the working directory.
    """
    given = uri or os.environ.get("FEDMVP_TRACKING_URI") or os.environ.get("MLFLOW_TRACKING_URI")
    return given or f"{_SQLITE}{_state(root) / 'mlflow.db'}"


def _state(root: Path) -> Path:
    return root.resolve() / ".fedmvp"


def _database(uri: str) -> Path | None:
    """Return the file behind a sqlite URI, None for servers."""
    return Path(uri.removeprefix(_SQLITE)).absolute() if uri.startswith(_SQLITE) else None


@contextlib.contextmanager
def locked(root: Path, uri: str | None = None) -> Iterator[None]:
    """Hold the store for writing: sqlite refuses two writers, and two may not create one run.

    The lock lies beside the database, so that projects that share one wait for each other.

    Parameters
    ----------
    uri : str, optional
        The store, as for `tracking_uri`.

    Raises
    ------
    ConfigError
        When another process holds it for ten minutes.
    """
    database = _database(tracking_uri(root, uri)) or _state(root) / "mlflow.db"
    path = database.with_suffix(".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(path, timeout=_LOCK_TIMEOUT_S):
            yield
    except Timeout:
        raise ConfigError(
            "another process keeps the tracking store locked",
            where=path,
            hint="let it end, or end it, and run `fedmvp track sync`",
        ) from None


def open_client(uri: str) -> Any:
    """Open the store, creating a database that is not there; hold `locked` meanwhile.

    Returns
    -------
    mlflow.MlflowClient

    Raises
    ------
    ConfigError
        When the store cannot be reached.
    """
    set_defaults()
    database = _database(uri)
    if database is not None:
        database.parent.mkdir(parents=True, exist_ok=True)
    # The schema's migrations are logged line by line otherwise.
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    try:
        client = MlflowClient(uri, uri)
        client.search_experiments(max_results=1)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise ConfigError(
            f"the tracking store cannot be opened ({type(error).__name__})",
            where="FEDMVP_TRACKING_URI",
            value=without_secret(uri),
            hint="start the server, correct the URI, or unset it to use .fedmvp/mlflow.db (delete "
            "that file if it is broken: it is rebuilt from the results, which are safe)",
        ) from (error if uri == without_secret(uri) else None)  # its message holds the URI
    return client


def set_defaults(**more: str) -> None:
    """Give mlflow our settings, and `more`, where the user has none of their own."""
    for key, value in {**_DEFAULTS, **more}.items():
        os.environ.setdefault(key, value)


def without_secret(uri: str) -> str:
    """Return a URI fit for messages: no user name, no password, no query."""
    scheme, mark, rest = uri.partition("://")
    if not mark:
        scheme, rest = "", uri
    # Without a host there is no account: an @ in a database's path is part of its name.
    shown = rest if rest.startswith("/") else rest.rpartition("@")[2]
    return f"{scheme}{mark}{shown.partition('?')[0]}"


def experiment_name(profile: str) -> str:
    """Return the name of a profile's experiment."""
    return f"fedmvp-{profile}"


def open_experiment(client: Any, uri: str, profile: str) -> str:
    """Return the id of the profile's experiment, creating or restoring it.

    With sqlite its artifacts lie beside the database; a server decides for itself.
    """
    name = experiment_name(profile)
    known = client.get_experiment_by_name(name)
    if known is not None:
        if known.lifecycle_stage == "deleted":
            client.restore_experiment(known.experiment_id)
        if _KIND_TAG not in known.tags:
            client.set_experiment_tag(known.experiment_id, _KIND_TAG, _KIND)
        return str(known.experiment_id)
    database = _database(uri)
    location = None if database is None else (database.parent / "mlruns" / name).as_uri()
    tags = {_KIND_TAG: _KIND}
    return str(client.create_experiment(name, artifact_location=location, tags=tags))


def recorded_contents(uri: str) -> dict[str, str] | None:
    """Return content by fingerprint of all active runs, read without mlflow; None if unknown.

    It makes a sync with nothing to do a matter of milliseconds. It reads two tables of mlflow's
    schema, so whatever it cannot make sense of is left to mlflow.
    """
    query = (
        "SELECT f.value, c.value FROM runs r "
        "JOIN tags f ON f.run_uuid = r.run_uuid AND f.key = ? "
        "JOIN tags c ON c.run_uuid = r.run_uuid AND c.key = ? "
        "WHERE r.lifecycle_stage = 'active'"
    )
    rows = _read(uri, query, FINGERPRINT_TAG, CONTENT_TAG)
    # A fingerprint with two runs is for mlflow to sort out.
    return None if rows is None or len(dict(rows)) != len(rows) else dict(rows)


def last_signs(uri: str) -> list[str] | None:
    """Return when the store last heard of each running training; None if unknown."""
    query = (
        "SELECT s.value FROM runs r JOIN tags s ON s.run_uuid = r.run_uuid AND s.key = ? "
        "WHERE r.lifecycle_stage = 'active' AND r.status = 'RUNNING'"
    )
    rows = _read(uri, query, SEEN_TAG)
    return None if rows is None else [str(row[0]) for row in rows]


def experiment_id(uri: str, profile: str) -> str | None:
    """Return the id of the profile's experiment, read without mlflow; None if unknown."""
    query = "SELECT experiment_id FROM experiments WHERE name = ? AND lifecycle_stage = 'active'"
    rows = _read(uri, query, experiment_name(profile))
    return str(rows[0][0]) if rows else None


def _read(uri: str, query: str, *values: str) -> list[Any] | None:
    """Return rows of a sqlite store; None if there is none, or not as expected."""
    database = _database(uri)
    if database is None or not database.is_file():
        return None
    try:
        with contextlib.closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as store:
            return store.execute(query, values).fetchall()
    except sqlite3.Error:
        return None
