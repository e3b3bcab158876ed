"""MLflow's artifact folders in a project that was moved, copied or restored.

MLflow writes absolute paths into its database. After a project has moved, they still point to the
old place, which would then be written to. Artifacts belong beside their database: this module finds
paths that lead elsewhere, and corrects them in the database.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path
from urllib.parse import unquote, urlsplit

__all__ = ["artifact_home", "bring_home", "folder_of", "moved"]

# Tables and columns of MLflow's schema that hold folders of artifacts.
_COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def artifact_home(database: Path, experiment: str) -> Path:
    """Return the folder where the artifacts of one of our experiments belong."""
    return database.parent / "mlruns" / experiment


def folder_of(uri: str) -> Path | None:
    """Return the folder a ``file:`` URI names, None for others."""
    parts = urlsplit(uri)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def moved(database: Path) -> bool:
    """Tell whether `bring_home` has something to do."""
    return bool(_strangers(database))


def bring_home(database: Path) -> None:
    """Point all artifacts of our experiments to the folders beside `database`.

    Artifacts that exist only in the old folder, e.g. if only the database was copied, are copied;
    nothing is written to the old folder or removed from it. The caller must hold the store's lock.
    """
    for name, old_uri in _strangers(database).items():
        home, old = artifact_home(database, name), folder_of(old_uri)
        if old is not None and old.is_dir() and not home.exists():
            shutil.copytree(old, home)
        with contextlib.closing(sqlite3.connect(database)) as store, store:
            for table, column in _COLUMNS:
                if _has(store, table, column):
                    store.execute(
                        f"UPDATE {table} SET {column} = ? || substr({column}, ?) "  # noqa: S608
                        f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                        (home.as_uri(), len(old_uri) + 1, old_uri, len(old_uri) + 1, f"{old_uri}/"),
                    )


def _has(store: sqlite3.Connection, table: str, column: str) -> bool:
    """Tell whether this version of the schema has a column."""
    names = [row[1] for row in store.execute(f"PRAGMA table_info({table})")]
    return column in names


def _strangers(database: Path) -> dict[str, str]:
    """Return our experiments whose artifacts are elsewhere, with the recorded folder.

    Ours have the form ``…/mlruns/<experiment>``; any other place was chosen by the user and stays.
    """
    if not database.is_file():
        return {}
    query = "SELECT name, artifact_location FROM experiments WHERE artifact_location LIKE 'file:%'"
    try:
        # For writing: only such a connection undoes a write that a crash cut short, and before that
        # sqlite shows nothing of the database. Where writing is forbidden, sqlite reads alone.
        with contextlib.closing(sqlite3.connect(f"{database.as_uri()}?mode=rw", uri=True)) as store:
            rows = store.execute(query).fetchall()
    except sqlite3.Error:  # not MLflow's, or damaged: `open_client` reports that
        return {}
    return {
        name: location
        for name, location in rows
        if (folder := folder_of(location)) is not None
        and folder.parts[-2:] == ("mlruns", name)
        and folder != artifact_home(database, name)
    }
