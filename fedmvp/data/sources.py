"""Bring a dataset's raw images onto this machine: fetch, verify, extract, and only then publish.

A dataset's folder appears under its final name in one rename, with a marker that names the
verified archives, so a half-fetched or half-extracted dataset is never taken for a whole one.
A folder without a marker is the user's own data: it is used in place and never changed.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock

from fedmvp.data.archives import extract
from fedmvp.data.paths import data_root
from fedmvp.data.source_spec import EmbeddedSource, HttpSource, SourceFile
from fedmvp.data.spec import DatasetSpec
from fedmvp.data.web import download
from fedmvp.errors import DataError, SourceError
from fedmvp.files import read_json, sha256_json, write_json

__all__ = ["MARKER", "ensure_raw", "source_checksums", "verify_file", "verify_shipped"]

MARKER = ".fedmvp-complete.json"
"""Written last into a folder that was fetched: digest of its source, number of files."""


def ensure_raw(spec: DatasetSpec) -> Path:
    """Return the folder of raw images, fetching it first if it is missing or not whole.

    Raises
    ------
    SourceError
        When no source could be fetched, verified and extracted; one line tells each reason.
    """
    folder = data_root() / spec.raw_folder
    if _is_users_own(folder) or _is_whole(folder, spec):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / f".{folder.name}.lock"):
        # Another process may have fetched it while this one waited.
        if not _is_whole(folder, spec):
            _fetch_first_working(spec, folder)
    return folder


def verify_file(path: Path, file: SourceFile, mend: str) -> None:
    """Check a fetched file against its declared checksums.

    Raises
    ------
    SourceError
        When the file is missing or its content is not the declared one.
    """
    for algorithm in ("sha256", "md5"):
        expected = getattr(file, algorithm)
        if expected is None:
            continue
        try:
            with path.open("rb") as opened:
                actual = hashlib.file_digest(opened, algorithm).hexdigest()
        except FileNotFoundError:
            raise SourceError("file is missing", where=path, mend=mend) from None
        if actual != expected:
            raise SourceError(
                f"{algorithm} is not the declared {expected}", where=path, value=actual, mend=mend
            )


def verify_shipped(spec: DatasetSpec) -> None:
    """Check the archives the repository ships, also when they were extracted before.

    Raises
    ------
    SourceError
        When one is missing or not the declared one.
    """
    for source in spec.sources:
        if isinstance(source, EmbeddedSource):
            for file in source.files:
                verify_file(Path(file.path), file, _restore(file.path))


def source_checksums(spec: DatasetSpec) -> list[str]:
    """Return the declared checksums of all sources: part of a manifest's identity."""
    return [file.sha256 or file.md5 or "" for source in spec.sources for file in source.files]


def _is_users_own(folder: Path) -> bool:
    return folder.is_dir() and not (folder / MARKER).exists() and any(folder.iterdir())


def _is_whole(folder: Path, spec: DatasetSpec) -> bool:
    marker = folder / MARKER
    if not marker.is_file():
        return False
    try:
        claim = read_json(marker)
    except DataError:
        return False
    files = _count_files(folder)
    return claim in [{"source": _digest(source), "files": files} for source in spec.sources]


def _digest(source: Any) -> str:
    return sha256_json(source.model_dump(mode="json"))


def _count_files(folder: Path) -> int:
    return sum(1 for path in folder.rglob("*") if path.is_file() and path.name != MARKER)


def _fetch_first_working(spec: DatasetSpec, folder: Path) -> None:
    reasons: list[SourceError] = []
    for source in spec.sources:
        try:
            _fetch(source, folder)
            return
        except SourceError as error:
            reasons.append(error)
        except OSError as error:
            reasons.append(
                SourceError(
                    f"cannot be written ({error})",
                    where=folder,
                    mend="free disk space, or set FEDMVP_DATA",
                )
            )
    if len(reasons) == 1:
        raise reasons[0]
    tried = "; ".join(f"{r.where}: {r.what}" for r in reasons) or "the catalog lists no source"
    raise SourceError(
        f"no source of {spec.name} works ({tried})",
        where=folder,
        mend="put the images there yourself, or check the network",
    )


def _fetch(source: EmbeddedSource | HttpSource, folder: Path) -> None:
    """Fill a staging folder beside `folder`, then rename it into place."""
    for stale in folder.parent.glob(f".{folder.name}.partial-*"):
        shutil.rmtree(stale)
    staging = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.partial-"))
    staging.chmod(0o755)
    try:
        _FETCHERS[source.kind](source, staging)
        claim = {"source": _digest(source), "files": _count_files(staging)}
        write_json(staging / MARKER, claim)
        if folder.exists():
            # Ours, but of another version or with files missing; or an empty folder.
            shutil.rmtree(folder)
        staging.rename(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _from_repository(source: EmbeddedSource, staging: Path) -> None:
    for file in source.files:
        path = Path(file.path)
        verify_file(path, file, _restore(file.path))
        _place(path, file, staging)


def _restore(path: str) -> str:
    return f"restore it with `git checkout -- {path}`"


def _from_web(source: HttpSource, staging: Path) -> None:
    for file in source.files:
        name = file.url.rsplit("/", 1)[-1].split("?")[0] or "file"
        path = data_root() / ".downloads" / f"{file.sha256 or file.md5}-{name}"
        if not path.exists():
            download(file.url, path)
        try:
            verify_file(path, file, mend=f"run again: {file.url} is fetched afresh")
        except SourceError:
            path.unlink(missing_ok=True)
            raise
        _place(path, file, staging, name=name)


def _place(path: Path, file: SourceFile, staging: Path, name: str | None = None) -> None:
    target = staging / file.into
    if file.unpack:
        extract(path, target)
    else:
        target.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target / (name or path.name))


_FETCHERS: dict[str, Callable[[Any, Path], None]] = {
    "embedded": _from_repository,
    "http": _from_web,
}
