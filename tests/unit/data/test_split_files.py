from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fedmvp.catalog.spec import load_spec
from fedmvp.data.build import build_manifest
from fedmvp.errors import DataError
from fedmvp.partition.sampling import base_count, class_blocks

from .conftest import png

ROWS: dict[str, list[list[Any]]] = {
    "train": [["a/1.png", 0, "cat"], ["b/1.png", 1, "dog"]],
    "val": [["a/2.png", 0, "cat"]],
    "test": [["a/3.png", 0, "cat"], ["b/2.png", 1, "dog"]],
}


@pytest.fixture
def own(toy: Any, machine: Path) -> Path:
    """A dataset in CoOp's layout that the user has already; returns its split file."""
    toy(
        layout={"reader": "class_folders", "folder": "images"},
        domains=None,
        sentence={"prefix": "a"},
        classes=[{"name": "cat", "folder": "a"}, {"name": "dog", "folder": "b"}],
        split={"rule": "fractions", "train": 0.5, "val": 0.2},
        split_file={"name": "split_zhou_Toy.json"},
        sources=None,
    )
    folder = machine / "raw" / "toy"
    for name in ("a/1", "a/2", "a/3", "a/4", "b/1", "b/2"):
        path = folder / "images" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png())
    (folder / "split_zhou_Toy.json").write_text(json.dumps(ROWS))
    return folder / "split_zhou_Toy.json"


def test_split_file_decides_where_it_is(own: Path) -> None:
    manifest = build_manifest(load_spec("toy"), 1)
    assert {i.path: i.split for i in manifest.images} == {
        "a/1.png": "train",
        "a/2.png": "val",
        "a/3.png": "test",
        "b/1.png": "train",
        "b/2.png": "test",
    }
    assert (manifest.split.kind, manifest.split.detail) == ("file", "split file " + own.name)


def test_without_it_a_split_is_drawn_and_says_so(own: Path) -> None:
    own.unlink()
    manifest = build_manifest(load_spec("toy"), 1)
    assert len(manifest.images) == 6
    assert manifest.split.kind == "generated"
    assert "50% train, 20% val per class, seed 1" in manifest.split.detail
    assert build_manifest(load_spec("toy"), 1) == manifest


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"val": [["a/2.png", 0, "dog"]]}, "label 0 is 'cat' in the catalog"),
        ({"val": [["a/2.png", 2, "cow"]]}, "label is not one of the dataset's"),
        ({"val": [["a/2.png", True, "dog"]]}, "label is not one of the dataset's"),
        ({"val": [["a/1.png", 0, "cat"]]}, "listed twice"),
        ({"val": [["../a/2.png", 0, "cat"]]}, "leaves the dataset's folder"),
        ({"val": [["/etc/passwd", 0, "cat"]]}, "leaves the dataset's folder"),
        ({"val": [["a/2.png", 0]]}, "not .path, label, class name."),
        ({"val": {}}, "val is not a list"),
        ({"extra": []}, "keys are not"),
        ({"val": [["a/9.png", 0, "cat"]]}, "image is missing"),
    ],
)
def test_an_invalid_split_file_is_one_clear_error(
    own: Path, change: dict[str, Any], message: str
) -> None:
    own.write_text(json.dumps({**ROWS, **change}))
    with pytest.raises(DataError, match=message):
        build_manifest(load_spec("toy"), 1)


@pytest.mark.parametrize(
    ("name", "clients"), [("caltech101", [20, 30]), ("dtd", [24]), ("oxford_pets", [19])]
)
def test_clients_of_the_base_half(name: str, clients: list[int]) -> None:
    """20 classes a client: how the paper's nine datasets become 30 clients."""
    spec = load_spec(name)
    base = base_count(len(spec.classes))
    assert [len(block) for block in class_blocks(spec.class_names[:base], 20)] == clients
