"""Bring a dataset's raw images onto this machine: fetch, verify, extract, and only then publish.

A dataset's folder appears under its final name in one rename, with a marker that says what was
fetched, so a partly fetched or extracted dataset is never mistaken for a complete one. A folder
without a marker is the user's own data: it is used in place and never changed.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from filelock import FileLock

from fedmvp.catalog.sources import EmbeddedSource, Source
from fedmvp.catalog.spec import DatasetSpec
from fedmvp.data.fetch.kinds import FETCHERS, Fetch, fetch_split_file, restore_hint
from fedmvp.data.fetch.prepare import PREPARERS
from fedmvp.data.fetch.progress import tell
from fedmvp.data.fetch.web import verify_file
from fedmvp.data.locations import PATHS_FILE, data_root, dataset_folder, given_folder
from fedmvp.data.marker import MARKER, read_marker
from fedmvp.errors import SourceError
from fedmvp.files import sha256_json, write_json

__all__ = ["SUBSET", "ensure_raw", "shipped_checksums", "verify_shipped"]

SUBSET = ".fedmvp-subset"
"""An empty file of this name in a dataset's folder marks it as deliberately only a part of the
dataset: declared counts are then reported but not enforced, and every manifest says so."""


def ensure_raw(spec: DatasetSpec) -> Path:
    """Return the folder of raw images, fetching it first if it is missing or incomplete.

    Raises
    ------
    SourceError
        When no source could be fetched, verified and extracted; each reason is given in a line.
    """
    folder = dataset_folder(spec.name, spec.raw_folders)
    if given_folder(spec.name) or _is_users_own(folder) or _is_whole(folder, spec):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / f".{folder.name}.lock"):
        # Another process may have fetched it while this one waited.
        if not _is_whole(folder, spec):
            _fetch_first_working(spec, folder)
    return folder


def verify_shipped(spec: DatasetSpec) -> None:
    """Check the archives that ship with the repository, even if they were extracted before.

    Raises
    ------
    SourceError
        When one is missing or not the declared one.
    """
    for source in spec.sources:
        if isinstance(source, EmbeddedSource):
            for file in source.files:
                verify_file(Path(file.path), file, restore_hint(file.path))


def shipped_checksums(spec: DatasetSpec) -> list[str]:
    """Return the checksums of the archives that ship with the repository, for `Manifest.content`.

    Those of other sources do not count: a new mirror of the same images changes no result.
    """
    return [
        file.checksum
        for source in spec.sources
        if isinstance(source, EmbeddedSource)
        for file in source.files
    ]


def _is_users_own(folder: Path) -> bool:
    return folder.is_dir() and not (folder / MARKER).exists() and any(folder.iterdir())


def _is_whole(folder: Path, spec: DatasetSpec) -> bool:
    marker = read_marker(folder)
    if marker is None or marker.get("source") not in [_digest(s) for s in spec.sources]:
        return False
    # Additional files are allowed, e.g. a split file, or one that a file browser creates.
    files = marker.get("files")
    return isinstance(files, int) and _count_files(folder) >= files


def _digest(source: Source) -> str:
    return sha256_json(source.model_dump(mode="json"))


def _count_files(folder: Path) -> int:
    return sum(1 for path in folder.rglob("*") if path.is_file() and path.name != MARKER)


def _fetch_first_working(spec: DatasetSpec, folder: Path) -> None:
    reasons: list[SourceError] = []
    if not all(isinstance(source, EmbeddedSource) for source in spec.sources):
        _announce(spec, folder)
    for number, source in enumerate(spec.sources, start=1):
        try:
            _fetch(spec, source, folder)
            return
        except SourceError as error:
            reasons.append(error)
        except OSError as error:
            reasons.append(
                SourceError(
                    f"cannot be written ({error})",
                    where=folder,
                    hint="free disk space, or set FEDMVP_DATA",
                )
            )
        if number < len(spec.sources):
            tell(f"{spec.name}: source {number} of {len(spec.sources)} failed: {reasons[-1]}")
    if len(reasons) == 1:
        raise reasons[0]
    tried = "; ".join(f"{r.where}: {r.what}" for r in reasons) or "the catalog lists no source"
    raise SourceError(
        f"no source of {spec.name} works ({tried})",
        where=folder,
        hint=reasons[-1].hint
        if reasons
        else f"put the images there, or name their folder in {PATHS_FILE}: "
        f"`datasets: {{{spec.name}: FOLDER}}`",
    )


def _announce(spec: DatasetSpec, folder: Path) -> None:
    """Report what will be fetched, under which licence, and whether it will fit."""
    tell(f"{spec.name}: {spec.title}; licence: {spec.licence}; {spec.homepage}")
    if spec.size_gb is None:
        return
    free = shutil.disk_usage(folder.parent).free / 1e9
    need = 2 * spec.size_gb
    verdict = "" if need <= free else "; THAT IS TOO LITTLE: set FEDMVP_DATA to a larger disk"
    tell(
        f"{spec.name}: about {spec.size_gb:g} GB to download, {need:g} GB while unpacking, "
        f"{free:.1f} GB free below {folder.parent}{verdict}"
    )


def _fetch(spec: DatasetSpec, source: Source, folder: Path) -> None:
    """Fill a staging folder beside `folder`, then rename it into place."""
    for stale in folder.parent.glob(f".{folder.name}.partial-*"):
        shutil.rmtree(stale)
    staging = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.partial-"))
    staging.chmod(0o755)
    try:
        work = Fetch(spec, data_root() / ".downloads", staging)
        FETCHERS[source.kind](source, work)
        if (
            source.kind != "huggingface"
        ):  # its files no longer have the names that a split file lists
            fetch_split_file(work)
        if spec.prepare is not None:
            PREPARERS[spec.prepare](spec, staging)
        marker = {
            "source": _digest(source),
            "kind": source.kind,
            "files": _count_files(staging),
            "fetched": work.fetched,
            "notes": work.notes,
        }
        write_json(staging / MARKER, marker)
        if folder.exists():
            # Fetched, but of another version or incomplete; or an empty folder.
            shutil.rmtree(folder)
        staging.rename(folder)
        for path in work.used:
            _discard(path)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _discard(path: Path) -> None:
    """Remove a download after use, as it would double the space of the dataset."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
