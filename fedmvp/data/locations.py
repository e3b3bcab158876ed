"""Where datasets are on this machine, and where manifests are in the repository.

Raw images and decoded images belong to the machine: they are git-ignored and rebuilt on demand, and
their place is set by the environment (``FEDMVP_DATA``, ``FEDMVP_CACHE``) or by the untracked file
``.fedmvp/paths.yaml``, never by params. All defaults are relative to the repository root, the
folder in which every stage runs.

``.fedmvp/paths.yaml`` may contain ``data`` (the data root, which the environment overrides) and
``datasets``, a mapping of dataset to folder for data that is elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from fedmvp.config import Section, parse_section
from fedmvp.errors import ConfigError
from fedmvp.paths import local_path
from fedmvp.yaml_files import load_yaml

__all__ = ["PATHS_FILE", "MachinePaths", "data_root", "dataset_folder", "given_folder"]

PATHS_FILE = Path(".fedmvp/paths.yaml")
"""Untracked: paths differ from machine to machine and must not rerun anything."""


class MachinePaths(Section):
    """Content of ``.fedmvp/paths.yaml``."""

    data: str | None = Field(default=None, min_length=1, description="The data root.")
    datasets: dict[str, str] = Field(
        default_factory=dict, description="Folder of each dataset that is elsewhere."
    )


def data_root() -> Path:
    """Return the folder of raw datasets: ``FEDMVP_DATA``, the paths file's, ``.fedmvp/data``."""
    return local_path(os.environ.get("FEDMVP_DATA") or _machine_paths().data or ".fedmvp/data")


def given_folder(dataset: str) -> Path | None:
    """Return the folder that the paths file gives for a dataset, or None.

    Raises
    ------
    ConfigError
        When that folder does not exist.
    """
    given = _machine_paths().datasets.get(dataset)
    if given is None:
        return None
    folder = local_path(Path(given).expanduser())
    if not folder.is_dir():
        raise ConfigError(
            "folder is missing",
            where=f"{PATHS_FILE}: datasets.{dataset}",
            value=given,
            hint="correct the path: was the folder moved, or its disk not mounted?",
        )
    return folder


def dataset_folder(dataset: str, names: Sequence[str]) -> Path:
    """Return where a dataset is or belongs.

    Parameters
    ----------
    names : sequence of str
        Possible folders in the data root; the first that is not empty is chosen, else the first.
    """
    given = given_folder(dataset)
    if given is not None:
        return given
    folders = [data_root() / name for name in names]
    return next((f for f in folders if f.is_dir() and any(f.iterdir())), folders[0])


def _machine_paths() -> MachinePaths:
    path = local_path(PATHS_FILE)
    if not path.is_file():
        return MachinePaths()
    return parse_section(MachinePaths, load_yaml(path) or {}, str(PATHS_FILE))
