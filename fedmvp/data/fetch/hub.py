"""Fetch Parquet tables of a Hugging Face dataset and write their rows as image files.

Rows become ``<into>/[<domain>/]<label>/<file>-<row>.<kind>``: their original names are lost, the
bytes of the images are kept as they are. Labels are matched by name, never by number alone: hubs
order classes in their own way.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from fedmvp.catalog.sources import HubSource, HubTable
from fedmvp.catalog.spec import DatasetSpec, Named
from fedmvp.data.fetch.archives import most_unpacked_bytes
from fedmvp.errors import SourceError

__all__ = ["fetch_hub"]

_BATCH_ROWS = 128
_KINDS = ((b"\xff\xd8\xff", "jpg"), (b"\x89PNG", "png"), (b"RIFF", "webp"), (b"GIF8", "gif"))

Name = Callable[[Any], str]


def fetch_hub(spec: DatasetSpec, source: HubSource, downloads: Path, staging: Path) -> str:
    """Write all rows below `staging`; return the commit they came from.

    Raises
    ------
    SourceError
        When the hub refuses (gated, moved, offline), a file is not the one the hub declares, a
        column or label is unknown, or the number of rows is not the declared one.
    """
    from huggingface_hub import HfApi, errors, hf_hub_download

    where = f"https://huggingface.co/datasets/{source.repo}"
    try:
        info = HfApi().dataset_info(source.repo, revision=source.revision, files_metadata=True)
        commit, siblings = str(info.sha), list(info.siblings or ())
        for table in source.tables:
            files = sorted(
                (s for s in siblings if fnmatch.fnmatch(s.rfilename, table.files)),
                key=lambda s: s.rfilename,
            )
            if not files:
                raise _refused(where, f"no file matches {table.files!r} at {commit}")
            rows = 0
            for sibling in files:
                path = Path(
                    hf_hub_download(
                        source.repo,
                        sibling.rfilename,
                        repo_type="dataset",
                        revision=commit,
                        local_dir=downloads,
                    )
                )
                _verify(path, getattr(sibling.lfs, "sha256", None), where)
                rows += _write_rows(spec, source, table, path, staging)
            if table.rows is not None and rows != table.rows:
                raise _refused(where, f"{table.files} holds {rows} rows, not {table.rows}")
    except (errors.HTTPError, errors.EntryNotFoundError, OSError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise _refused(where, f"the hub refused ({reason})") from None
    return commit


def _verify(path: Path, expected: str | None, where: str) -> None:
    """Check a file against the hash the hub declares for it."""
    if expected is None:
        return
    with path.open("rb") as opened:
        actual = hashlib.file_digest(opened, "sha256").hexdigest()
    if actual != expected:
        path.unlink()
        raise _refused(where, f"{path.name} is not the file the hub declares; it was removed")


def _write_rows(
    spec: DatasetSpec, source: HubSource, table: HubTable, path: Path, staging: Path
) -> int:
    """Write the images of one Parquet file; return how many rows it has."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as parquet:
            _require_budget(parquet.metadata, path)
            columns = [c for c in (source.image, source.label, source.domain) if c is not None]
            absent = set(columns) - set(parquet.schema_arrow.names)
            if absent:
                raise _refused(path, f"has no column {sorted(absent)[0]!r}")
            features = _features(parquet.schema_arrow.metadata)
            row = 0
            for batch in parquet.iter_batches(_BATCH_ROWS, columns=columns):
                for image, folder in _images(spec, source, batch.to_pylist(), features, path):
                    _write_image(image, staging / table.into / folder, f"{path.stem}-{row:07d}")
                    row += 1
            return int(parquet.metadata.num_rows)
    except pa.ArrowException as error:
        raise _refused(path, f"not a Parquet file ({error})") from None


def _require_budget(metadata: Any, path: Path) -> None:
    """Refuse a table that expands too far, as for archives, before its columns are unpacked."""
    groups = (metadata.row_group(index) for index in range(metadata.num_row_groups))
    if sum(group.total_byte_size for group in groups) > most_unpacked_bytes(path):
        raise _refused(path, "expands to many times its size")


def _images(
    spec: DatasetSpec,
    source: HubSource,
    rows: Sequence[dict[str, Any]],
    features: dict[str, list[str]],
    path: Path,
) -> Iterator[tuple[bytes, str]]:
    """Yield the bytes and the folder of each row that belongs to the dataset."""
    label_name = _namer(features.get(source.label))
    domain_name = _namer(features.get(source.domain or ""))
    labels, domains = _folders(spec.classes), _folders(spec.domains)
    for row in rows:
        if source.label_order == "catalog":
            label = int(row[source.label])
        else:
            name = label_name(row[source.label])
            if name in source.skip_labels:
                continue
            key = _plain(source.label_names.get(name, name))
            if key not in labels:
                raise _refused(path, f"label {name!r} is not a class of {spec.name}")
            label = labels[key]
        folder = str(label)
        if source.domain is not None:
            key = _plain(domain_name(row[source.domain]))
            if key not in domains:
                raise _refused(
                    path, f"domain {row[source.domain]!r} is not a domain of {spec.name}"
                )
            folder = f"{spec.domains[domains[key]].folder}/{label}"
        content = row[source.image]
        content = content.get("bytes") if isinstance(content, dict) else content
        if not isinstance(content, bytes):
            raise _refused(path, f"column {source.image!r} holds no image bytes")
        yield content, folder


def _features(metadata: dict[bytes, bytes] | None) -> dict[str, list[str]]:
    """Return the names of each class-label column, as the hub's library writes them."""
    try:
        info = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError):
        return {}
    return {
        column: feature["names"]
        for column, feature in info.items()
        if isinstance(feature, dict) and isinstance(feature.get("names"), list)
    }


def _namer(names: list[str] | None) -> Name:
    def name(value: Any) -> str:
        return names[value] if names is not None and isinstance(value, int) else str(value)

    return name


def _folders(entries: Sequence[Named]) -> dict[str, int]:
    """Return index by plain name and by plain folder."""
    by_name = {_plain(entry.name): index for index, entry in enumerate(entries)}
    return {**by_name, **{_plain(entry.folder): index for index, entry in enumerate(entries)}}


def _plain(name: str) -> str:
    """Return a name in lower case without punctuation, as hubs spell names differently."""
    return "".join(c for c in name.lower() if c.isalnum())


def _write_image(content: bytes, folder: Path, name: str) -> None:
    kind = next((kind for magic, kind in _KINDS if content.startswith(magic)), "jpg")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.{kind}").write_bytes(content)


def _refused(where: object, what: str) -> SourceError:
    return SourceError(what, where=where, hint="use another source, or correct the catalog entry")
