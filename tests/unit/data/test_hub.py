"""Hub tables through a fake of the client: no network is touched."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import errors

from fedmvp.catalog.spec import load_spec
from fedmvp.data.build import build_manifest
from fedmvp.data.marker import read_marker
from fedmvp.data.sources import ensure_raw
from fedmvp.errors import SourceError

from .conftest import png

COMMIT = "1234567890abcdef1234567890abcdef12345678"
JPEG = b"\xff\xd8\xff jpeg"


def table(rows: list[dict[str, Any]], names: list[str] | None) -> bytes:
    """Return a Parquet file as the hub's library writes it."""
    arrow = pa.Table.from_pylist(rows)
    if names is not None:
        features = {"label": {"names": names, "_type": "ClassLabel"}, "image": {"_type": "Image"}}
        head = {"info": {"features": features}}
        arrow = arrow.replace_schema_metadata({"huggingface": json.dumps(head)})
    sink = pa.BufferOutputStream()
    pq.write_table(arrow, sink)
    return bytes(sink.getvalue().to_pybytes())


def row(label: int | str, domain: str, content: bytes | None = None) -> dict[str, Any]:
    return {"image": {"bytes": content or png(), "path": None}, "label": label, "domain": domain}


ROWS = [row(1, "Sketch", JPEG), row(0, "photo"), row(0, "Sketch"), row(1, "photo"), row(1, "photo")]


class FakeHub:
    """Stands for the hub: serves `files`, with their hashes."""

    def __init__(self, files: dict[str, bytes], folder: Path) -> None:
        self.files, self.folder = files, folder
        self.hashes = {n: hashlib.sha256(c).hexdigest() for n, c in files.items()}
        self.error: Exception | None = None

    def dataset_info(self, repo: str, *, revision: str, files_metadata: bool) -> SimpleNamespace:
        if self.error:
            raise self.error
        siblings = [
            SimpleNamespace(rfilename=n, lfs=SimpleNamespace(sha256=h))
            for n, h in self.hashes.items()
        ]
        return SimpleNamespace(sha=COMMIT, siblings=siblings)

    def download(self, repo: str, name: str, *, revision: str, local_dir: Path, **_: Any) -> str:
        assert revision == COMMIT, "what is fetched must be what was listed"
        path = Path(local_dir) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.files[name])
        return str(path)


@pytest.fixture
def hub(toy: Any, machine: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make the toy dataset come from a fake hub."""

    def make(files: dict[str, bytes], tables: list[dict[str, Any]], **source: Any) -> FakeHub:
        layout = {
            "reader": "domain_class_folders",
            "folder": "hub",
            "class_dirs": "label",
            "keeps_names": False,
        }
        base = {
            "kind": "huggingface",
            "repo": "someone/toy",
            "revision": "main",
            "domain": "domain",
            "tables": tables,
        }
        toy(sources=[{**base, **source}], layout=layout)
        fake = FakeHub(files, machine)
        monkeypatch.setattr(huggingface_hub, "HfApi", lambda: fake)
        monkeypatch.setattr(huggingface_hub, "hf_hub_download", fake.download)
        return fake

    return make


TABLE = {"files": "data/train-*.parquet", "into": "hub", "rows": 5}


def test_rows_become_files_by_name_of_their_label(hub: Any) -> None:
    hub({"data/train-0.parquet": table(ROWS, ["DOG", "Big_Cat"]), "README.md": b""}, [TABLE])
    manifest = build_manifest(load_spec("toy"), 1)
    assert [(i.path, i.domain, manifest.classes[i.label]) for i in manifest.images] == [
        ("photo/0/train-0-0000003.png", "photo", "big cat"),
        ("photo/0/train-0-0000004.png", "photo", "big cat"),
        ("sketch/0/train-0-0000000.jpg", "sketch", "big cat"),
        ("photo/1/train-0-0000001.png", "photo", "dog"),
        ("sketch/1/train-0-0000002.png", "sketch", "dog"),
    ]
    marker = read_marker(ensure_raw(load_spec("toy")))
    assert marker and marker["fetched"] == [
        {"name": "someone/toy", "commit": COMMIT, "checked": True}
    ]
    assert "split files cannot apply" in marker["notes"][0]


def test_bytes_are_kept(hub: Any) -> None:
    hub({"data/train-0.parquet": table(ROWS, ["dog", "big cat"])}, [TABLE])
    folder = ensure_raw(load_spec("toy"))
    assert not list(folder.parent.rglob("*.parquet"))
    assert (folder / "hub/sketch/0/train-0-0000000.jpg").read_bytes() == JPEG


def test_several_tables_and_words_for_labels(hub: Any) -> None:
    rows = [row("feline", "photo"), row("dog", "sketch"), row("clutter", "sketch")]
    files = {f"data/{part}-0.parquet": table(rows, None) for part in ("train", "test")}
    tables = [{"files": f"data/{part}-*.parquet", "into": "hub"} for part in ("train", "test")]
    hub(files, tables, label_names={"feline": "big-cat"}, skip_labels=["clutter"])
    images = build_manifest(load_spec("toy"), 1).images
    assert [i.path for i in images] == [
        "photo/0/test-0-0000000.png",
        "photo/0/train-0-0000000.png",
        "sketch/1/test-0-0000001.png",
        "sketch/1/train-0-0000001.png",
    ]


@pytest.mark.parametrize(
    ("rows", "names", "changes", "message"),
    [
        (ROWS, ["dog", "cow"], {}, "label 'cow' is not a class of toy"),
        (ROWS, None, {}, "label '1' is not a class of toy"),
        ([row(0, "oil"), *ROWS], ["dog", "big cat"], {}, "domain 'oil' is not a domain of toy"),
        (ROWS[:4], ["dog", "big cat"], {}, "holds 4 rows, not 5"),
        (ROWS, ["dog", "big cat"], {"image": "picture"}, "has no column 'picture'"),
        (ROWS, ["dog", "big cat"], {"image": "domain"}, "holds no image bytes"),
        (ROWS, ["dog", "big cat"], {"tables": [{"files": "x/*", "into": "hub"}]}, "no file match"),
    ],
)
def test_what_is_not_as_declared_is_refused(
    hub: Any, machine: Path, rows: Any, names: Any, changes: dict[str, Any], message: str
) -> None:
    tables = changes.pop("tables", [TABLE])
    hub({"data/train-0.parquet": table(rows, names)}, tables, **changes)
    with pytest.raises(SourceError, match=message):
        ensure_raw(load_spec("toy"))
    assert not (machine / "raw" / "toy").exists()


def test_a_damaged_file_is_removed(hub: Any, machine: Path) -> None:
    fake = hub({"data/train-0.parquet": table(ROWS, ["dog", "big cat"])}, [TABLE])
    fake.hashes["data/train-0.parquet"] = "0" * 64
    with pytest.raises(SourceError, match="not the file the hub declares"):
        ensure_raw(load_spec("toy"))
    assert not list((machine / "raw").rglob("*.parquet"))


def test_a_refusal_of_the_hub_is_one_line(hub: Any) -> None:
    fake = hub({}, [TABLE])
    fake.error = OSError("403 Client Error.\nAccess to dataset is gated")
    with pytest.raises(SourceError, match=r"the hub refused \(403 Client Error\. Access"):
        ensure_raw(load_spec("toy"))
    fake.error = errors.HTTPError("no route to host")
    with pytest.raises(SourceError, match="no route to host"):
        ensure_raw(load_spec("toy"))
