"""Where the tracking store is, how it is opened, and how it is locked against a second writer.

mlflow takes 3.5 s to import, so it is imported only where a client is opened.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from filelock import FileLock, Timeout

from fedmvp.errors import ConfigError
from fedmvp.paths import state_folder
from fedmvp.tracking.moved import artifact_home, bring_home, folder_of
from fedmvp.tracking.trouble import GuardedClient, store_trouble

__all__ = [
    "ARTIFACTS_TAG",
    "CONTENT_TAG",
    "FILES",
    "FINGERPRINT_TAG",
    "LIVE",
    "LIVE_IN_PART",
    "RECORDED_TAG",
    "SECONDS_TAG",
    "SEEN_TAG",
    "Recorded",
    "experiment_id",
    "last_signs",
    "locked",
    "open_client",
    "open_experiment",
    "recorded_runs",
    "set_defaults",
    "sqlite_file",
    "tracking_uri",
]

FINGERPRINT_TAG = "fedmvp.fingerprint"
CONTENT_TAG = "fedmvp.content"
"""Tag with the hash of all that was projected; a run without it is incomplete."""
RECORDED_TAG = "fedmvp.recorded"
"""Tag that says how a run was made, and so what its times mean: FILES, LIVE or LIVE_IN_PART."""
FILES, LIVE, LIVE_IN_PART = "from files", "live", "live in part"
SECONDS_TAG = "training.seconds"
"""Tag of a live run: how long it was trained, without interruptions."""
ARTIFACTS_TAG = "fedmvp.artifacts"
"""Tag with the number of artifacts a sync wrote, so that lost ones are noticed."""
SEEN_TAG = "fedmvp.seen"
"""Tag of a live run: when its training was last known to be running."""

# What mlflow calls training, as opposed to its default, applications of language models.
_KIND_TAG, _KIND = "mlflow.experimentKind", "custom_model_development"
_SQLITE, _SQLITE_WITH_DRIVER = "sqlite:///", "sqlite+pysqlite:///"
_LOCK_TIMEOUT_S = 600.0
# Settings of mlflow for this process and those it starts, unless the user has set them.
_DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # An unreachable server must not hold up a pipeline for the quarter of an hour mlflow would try.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    # Otherwise each run's address is printed, with any password in the server's address.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # The server's runners of evaluation jobs take half of its start-up time.
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}


@dataclass(frozen=True)
class Recorded:
    """What the store has of a result.

    Attributes
    ----------
    folder : Path or None
        Folder of the artifacts; None if they are not on this machine.
    artifacts : int
        Number of artifacts that were written there.
    """

    content: str
    folder: Path | None
    artifacts: int

    def whole(self) -> bool:
        """Tell whether no artifact is missing, as far as this machine can see."""
        if self.folder is None:
            return True
        found = sum(path.is_file() for path in self.folder.rglob("*"))
        return found > 0 and found >= self.artifacts


def tracking_uri(root: Path, uri: str | None = None) -> str:
    """Return the store's URI: `uri`, FEDMVP_TRACKING_URI, MLFLOW_TRACKING_URI or the default.

    The default is ``<root>/.fedmvp/mlflow.db`` as an absolute sqlite URI: mlflow's own default
    depends on the working directory. In an experiment of DVC that runs in a folder of its own it is
    the project's, for that folder goes when the experiment ends.
    """
    given = uri or os.environ.get("FEDMVP_TRACKING_URI") or os.environ.get("MLFLOW_TRACKING_URI")
    return given or _sqlite_uri(_state(root) / "mlflow.db")


def _state(root: Path) -> Path:
    return state_folder(root.resolve()).resolve()


def _sqlite_uri(database: Path) -> str:
    """Return the URI of a file. SQLAlchemy decodes the path, but mlflow makes the undecoded folder.

    It does so only for a URI that names no driver.
    """
    path = str(database)
    coded = path.replace("%", "%25").replace("?", "%3F")
    return f"{_SQLITE if coded == path else _SQLITE_WITH_DRIVER}{coded}"


def sqlite_file(uri: str) -> Path | None:
    """Return the file behind a sqlite URI, None for servers."""
    for scheme in (_SQLITE, _SQLITE_WITH_DRIVER):
        if uri.startswith(scheme):
            return Path(unquote(uri.removeprefix(scheme).partition("?")[0])).absolute()
    return None


@contextlib.contextmanager
def locked(root: Path, uri: str | None = None) -> Iterator[None]:
    """Hold the store for writing: sqlite refuses two writers, and two may not create one run.

    The lock file is beside the database, so that projects that share it wait for each other.

    Parameters
    ----------
    uri : str, optional
        The store, as for `tracking_uri`.

    Raises
    ------
    ConfigError
        When another process holds it for ten minutes.
    """
    database = sqlite_file(tracking_uri(root, uri)) or _state(root) / "mlflow.db"
    path = database.with_suffix(".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(path, timeout=_LOCK_TIMEOUT_S):
            yield
    except Timeout:
        raise ConfigError(
            "another process keeps the tracking store locked",
            where=path,
            hint="wait until it ends, or stop it, then run `fedmvp track sync`",
        ) from None


def open_client(uri: str) -> Any:
    """Open the store, creating a missing database; the caller must hold `locked`.

    Returns
    -------
    mlflow.MlflowClient
        Each of its calls returns or, whatever goes wrong, raises a ConfigError.

    Raises
    ------
    ConfigError
        When the store cannot be reached.
    """
    set_defaults()
    database = sqlite_file(uri)
    if database is not None:
        database.parent.mkdir(parents=True, exist_ok=True)
        bring_home(database)
    # The schema's migrations and each retry are logged line by line otherwise, and what ends in an
    # error is logged with a traceback before.
    for name in ("mlflow", "alembic", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    from mlflow import MlflowClient

    logging.getLogger("mlflow").setLevel(logging.CRITICAL)
    with store_trouble(uri, "the tracking store cannot be opened"):
        _connect(uri)
        client = MlflowClient(uri, uri)
        client.search_experiments(max_results=1)
    return GuardedClient(client, uri)


def _connect(uri: str) -> None:
    """Connect to a database once: MLflow tries ten times, for almost two minutes."""
    from mlflow.store.db.db_types import DATABASE_ENGINES

    if uri.partition(":")[0].partition("+")[0] in DATABASE_ENGINES:
        import sqlalchemy

        engine = sqlalchemy.create_engine(uri)
        try:
            sqlalchemy.inspect(engine).get_table_names()
        finally:
            engine.dispose()


def set_defaults(**more: str) -> None:
    """Set mlflow's settings, and `more`, unless the user has set them."""
    for key, value in {**_DEFAULTS, **more}.items():
        os.environ.setdefault(key, value)


def experiment_name(profile: str) -> str:
    """Return the name of a profile's experiment."""
    return f"fedmvp-{profile}"


def open_experiment(client: Any, uri: str, profile: str) -> str:
    """Return the id of the profile's experiment, creating or restoring it.

    With sqlite, its artifacts are beside the database; a server decides by itself.
    """
    name = experiment_name(profile)
    known = client.get_experiment_by_name(name)
    if known is not None:
        if known.lifecycle_stage == "deleted":
            client.restore_experiment(known.experiment_id)
        if _KIND_TAG not in known.tags:
            client.set_experiment_tag(known.experiment_id, _KIND_TAG, _KIND)
        return str(known.experiment_id)
    database = sqlite_file(uri)
    location = None if database is None else artifact_home(database, name).as_uri()
    tags = {_KIND_TAG: _KIND}
    return str(client.create_experiment(name, artifact_location=location, tags=tags))


def recorded_runs(uri: str) -> dict[str, Recorded] | None:
    """Return all active runs by fingerprint, read without mlflow; None if unknown.

    This makes a sync without work a matter of milliseconds. It reads two tables of mlflow's schema;
    whatever it does not understand is left to mlflow.
    """
    query = (
        "SELECT f.value, c.value, r.artifact_uri, a.value FROM runs r "
        "JOIN tags f ON f.run_uuid = r.run_uuid AND f.key = ? "
        "JOIN tags c ON c.run_uuid = r.run_uuid AND c.key = ? "
        "LEFT JOIN tags a ON a.run_uuid = r.run_uuid AND a.key = ? "
        "WHERE r.lifecycle_stage = 'active'"
    )
    rows = _read(uri, query, FINGERPRINT_TAG, CONTENT_TAG, ARTIFACTS_TAG)
    if rows is None:
        return None
    found = {
        fingerprint: Recorded(content, folder_of(place), int(artifacts or 0))
        for fingerprint, content, place, artifacts in rows
    }
    # A fingerprint with two runs is for mlflow to sort out.
    return found if len(found) == len(rows) else None


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
    database = sqlite_file(uri)
    if database is None or not database.is_file():
        return None
    try:
        with contextlib.closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as store:
            return store.execute(query, values).fetchall()
    except sqlite3.Error:
        return None
