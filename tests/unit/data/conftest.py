from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import yaml
from PIL import Image

ROOT = Path(__file__).resolve().parents[3]


def png(colour: str = "red", size: tuple[int, int] = (8, 8)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


def zip_bytes(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty machine: own data root, cache and catalog, in the repository's folder."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("FEDMVP_DATA", str(tmp_path / "raw"))
    monkeypatch.setenv("FEDMVP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FEDMVP_CATALOG", str(tmp_path / "catalog"))
    (tmp_path / "catalog").mkdir()
    return tmp_path


Toy = Callable[..., Path]


@pytest.fixture
def toy(machine: Path) -> Toy:
    """Make a dataset of one YAML and one archive: two domains, two classes, an image each."""

    def make(archive: bytes | None = None, **changes: object) -> Path:
        content = archive or zip_bytes(
            {
                f"{domain}/{folder}/1.png": png(colour)
                for domain, colour in (("photo", "red"), ("sketch", "white"))
                for folder in ("big-cat", "dog")
            }
        )
        path = machine / "toy.zip"
        path.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        entry: dict[str, object] = {
            "name": "toy",
            "title": "Toy",
            "licence": "none",
            "sources": [{"kind": "embedded", "files": [{"path": str(path), "sha256": digest}]}],
            "layout": {"reader": "domain_class_folders"},
            "template": "a photo of a {}.",
            "sentence": {"prefix": "a photo of a", "domains": {"sketch": {"prefix": "a sketch"}}},
            "split": {"rule": "fractions", "train": 0.5},
            "domains": ["photo", "sketch"],
            "classes": [{"name": "big cat", "folder": "big-cat"}, "dog"],
        }
        entry = {key: value for key, value in {**entry, **changes}.items() if value is not None}
        (machine / "catalog" / "toy.yaml").write_text(yaml.safe_dump(entry, sort_keys=False))
        return path

    return make
