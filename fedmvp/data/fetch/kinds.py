"""How each kind of source fills a folder; one function per kind."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedmvp.catalog.sources import (
    DriveFile,
    DriveSource,
    EmbeddedSource,
    HttpFile,
    HttpSource,
    HubSource,
    ManualSource,
    SourceFile,
)
from fedmvp.catalog.spec import DatasetSpec
from fedmvp.data.fetch.archives import extract
from fedmvp.data.fetch.hub import fetch_hub
from fedmvp.data.fetch.progress import tell
from fedmvp.data.fetch.web import download, download_drive, verify_file
from fedmvp.errors import SourceError
from fedmvp.files import sha256_file

__all__ = ["FETCHERS", "Fetch", "fetch_split_file", "restore_hint"]


@dataclass
class Fetch:
    """One attempt to fetch a dataset from one source.

    Parameters
    ----------
    downloads : Path
        Keeps downloads until the dataset is complete, so that a later attempt can use them.
    staging : Path
        Folder to fill.
    fetched : list of dict
        Files received: name, sha256, and whether the catalog had a checksum to compare with.
    notes : list of str
        What the user should know about this copy.
    used : list of Path
        Downloads that are not needed once the dataset is published.
    """

    spec: DatasetSpec
    downloads: Path
    staging: Path
    fetched: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    used: list[Path] = field(default_factory=list)


def restore_hint(path: str) -> str:
    """Return how to restore a file of the repository."""
    return f"restore it with `git checkout -- {path}`"


def fetch_split_file(work: Fetch) -> None:
    """Add the split file, if the dataset has one and the source did not include it.

    If no mirror has it, that is not an error: a split is drawn instead, and this is reported
    wherever it is used.
    """
    split_file = work.spec.split_file
    if split_file is None or not split_file.mirrors:
        return
    if any(work.staging.rglob(split_file.name)):
        return
    reasons = []
    for mirror in split_file.mirrors:
        try:
            _download(mirror, work, split_file.name)
        except SourceError as error:
            reasons.append(f"{error.where}: {error.what}")
        else:
            return
    note = f"split file {split_file.name} could not be fetched ({'; '.join(reasons)})"
    work.notes.append(note)
    tell(f"{work.spec.name}: {note}; a split is drawn instead")


def _embedded(source: EmbeddedSource, work: Fetch) -> None:
    for file in source.files:
        path = Path(file.path)
        verify_file(path, file, restore_hint(file.path))
        _place(path, file, work, path.name)


def _http(source: HttpSource, work: Fetch) -> None:
    for file in source.files:
        _download(file, work, file.url.rsplit("/", 1)[-1].split("?")[0] or "file")


def _drive(source: DriveSource, work: Fetch) -> None:
    for file in source.files:
        _download(file, work, file.name)


def _hub(source: HubSource, work: Fetch) -> None:
    folder = work.downloads / source.repo.replace("/", "--")
    work.used.append(folder)
    commit = fetch_hub(work.spec, source, folder, work.staging)
    work.fetched.append({"name": source.repo, "commit": commit, "checked": True})
    work.notes.append("file names are not the original ones: split files cannot apply")


def _manual(source: ManualSource, work: Fetch) -> None:
    steps = [*source.steps, f"Run `fedmvp datasets verify {work.spec.name}`."]
    numbered = [f"({number}) {step}" for number, step in enumerate(steps, start=1)]
    for line in numbered:
        tell(f"{work.spec.name}: {line}")
    raise SourceError("must be obtained by hand", where=work.spec.title, hint=" ".join(numbered))


def _download(file: HttpFile | DriveFile, work: Fetch, name: str) -> None:
    """Download, verify and place one file; a file that is not as declared is removed."""
    origin = file.url if isinstance(file, HttpFile) else f"Google Drive file {file.id}"
    key = file.checksum or (file.id if isinstance(file, DriveFile) else work.spec.name)
    path = work.downloads / f"{key}-{name}"
    work.used.append(path)
    if not path.exists():
        if isinstance(file, HttpFile):
            download(file.url, path, size_bytes=file.size_bytes)
        else:
            download_drive(file.id, path)
    try:
        verify_file(path, file, hint=f"run again: {origin} will be fetched again")
    except SourceError:
        path.unlink(missing_ok=True)
        raise
    _place(path, file, work, name)


def _place(path: Path, file: SourceFile, work: Fetch, name: str) -> None:
    if file.unchecked:
        digest = sha256_file(path)
        work.notes.append(f"no checksum of {name} is known; this copy's sha256 is {digest}")
        tell(f"{work.spec.name}: {work.notes[-1]}")
    else:
        digest = file.sha256 or ""
    work.fetched.append({"name": name, "sha256": digest or None, "checked": not file.unchecked})
    target = work.staging / file.into
    target.mkdir(parents=True, exist_ok=True)
    if not file.unpack:
        shutil.copyfile(path, target / name)
        return
    extract(path, target)
    for inner in file.nested:
        archive = target / inner
        if archive.is_file():
            extract(archive, archive.parent)
            archive.unlink()


FETCHERS: dict[str, Callable[[Any, Fetch], None]] = {
    "embedded": _embedded,
    "http": _http,
    "google_drive": _drive,
    "huggingface": _hub,
    "manual": _manual,
}
