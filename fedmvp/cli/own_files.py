"""The files of a user's own dataset: written all or none; old ones are kept as copies."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

import fedmvp
from fedmvp.attributes.store import RECORDED
from fedmvp.catalog.spec import dataset_names
from fedmvp.data.locations import PATHS_FILE
from fedmvp.errors import ConfigError
from fedmvp.files import write_bytes
from fedmvp.output_files import write_output
from fedmvp.yaml_files import load_yaml

__all__ = ["OwnFiles", "paths_with", "paths_without", "put_aside", "write_all"]

_ASIDE = Path(".fedmvp/removed")


@dataclass(frozen=True)
class OwnFiles:
    """Where a dataset's files are or belong.

    Attributes
    ----------
    entry, settings, answers : Path
        Catalog entry, folder of its suite, recorded attributes.
    """

    entry: Path
    settings: Path
    answers: Path

    @classmethod
    def of(cls, name: str) -> OwnFiles:
        """Return the paths of a dataset's files: in the package, or where the environment says."""
        package = Path(fedmvp.__file__).parent
        catalog = os.environ.get("FEDMVP_CATALOG")
        settings = Path(os.environ.get("FEDMVP_SETTINGS") or package / "partition/settings")
        recorded = Path(catalog) / "recorded" if catalog else RECORDED
        return cls(
            _short(Path(catalog or package / "catalog/datasets")) / f"{name}.yaml",
            _short(settings) / name,
            _short(recorded) / f"{name}.jsonl",
        )

    def existing(self) -> list[Path]:
        """Return the files that exist."""
        files = [self.entry, *sorted(self.settings.glob("*.yaml")), self.answers]
        return [path for path in files if path.is_file()]

    def require_own(self, name: str) -> None:
        """Check that a dataset of this name, if it exists, is the user's own.

        Raises
        ------
        ConfigError
            When the entry is a shipped one, or a suite of that name belongs to other datasets.
        """
        if name in dataset_names() and not self.entry.is_file():
            raise ConfigError(
                "a shipped dataset has this name",
                where="data catalog",
                value=name,
                hint="choose another name",
            )
        if self.entry.is_file() and (load_yaml(self.entry) or {}).get("sources"):
            raise ConfigError(
                "dataset is not one of your own: its entry has sources",
                where=self.entry,
                value=name,
                hint="choose another name",
            )
        shipped = Path(fedmvp.__file__).parent / "partition/settings" / name
        for path in (*self.settings.glob("*.yaml"), *shipped.glob("*.yaml")):
            if not _names_only(load_yaml(path), name):
                raise ConfigError(
                    "the suite of this name belongs to other datasets",
                    where=path,
                    value=name,
                    hint="choose another name",
                )


def _names_only(value: Any, name: str) -> bool:
    """Tell whether a setting trains on one dataset alone."""
    sources = [value.get("leave_one_domain_out"), value.get("single_source")]
    sources += [fold.get("train") for fold in value.get("folds", [])]
    return all(source.get("datasets") == [name] for source in sources if source is not None)


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def paths_with(name: str, images: Path) -> bytes:
    """Return the paths file with a dataset's folder added; the file is specific to the machine."""
    paths = _paths()
    return _yaml({**paths, "datasets": {**paths.get("datasets", {}), name: str(images.resolve())}})


def paths_without(name: str) -> bytes:
    """Return the paths file without a dataset."""
    paths = _paths()
    kept = {key: value for key, value in paths.get("datasets", {}).items() if key != name}
    return _yaml({**paths, "datasets": kept})


def _paths() -> dict[str, Any]:
    return (load_yaml(PATHS_FILE) or {}) if PATHS_FILE.is_file() else {}


def _yaml(value: Any) -> bytes:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100).encode()


def write_all(files: Mapping[Path, bytes]) -> None:
    """Write files in this order, or none: after an error, all files are restored."""
    before = {path: path.read_bytes() if path.is_file() else None for path in files}
    try:
        for path, content in files.items():
            write_output(path, content)
    except BaseException:
        for path, old in before.items():
            if old is not None:
                write_output(path, old)
            elif path.is_file():
                path.unlink()
        raise


def put_aside(name: str, files: list[Path]) -> Path:
    """Copy files to a new folder in ``.fedmvp/removed``; return it."""
    numbers = (f"{name}-{number}" for number in range(1, 10**6))
    folder = next(place for n in numbers if not (place := _ASIDE / n).exists())
    for path in files:
        write_bytes(folder / f"{path.parent.name}-{path.name}", path.read_bytes())
    return folder
