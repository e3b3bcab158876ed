"""From site.yaml to the images and classes a site trains and is tested on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from fedmvp.clip.backbone import Backbone
from fedmvp.data.manifest_files import save_manifest
from fedmvp.errors import ConfigError, DataError
from fedmvp.federation.site_config import SiteConfig, load_site_config
from fedmvp.federation.site_data import SiteData, tree_manifest
from fedmvp.partition.sampling import draw_shots
from tests.multi_toys import multi_manifest

pytestmark = pytest.mark.usefixtures("words")

NAMES = ("cat", "dog", "owl")


def tree(folder: Path, *, parts: bool = False, count: int = 4) -> Path:
    for name in NAMES:
        for index in range(count):
            part = ("test" if index == 0 else "train") if parts else "."
            path = folder / part / name / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (32, 32), (index, 0, 0)).save(path)
    (folder / ".cache").mkdir()
    (folder / "cat/notes.txt" if not parts else folder / "test/cat/notes.txt").write_text("x")
    return folder


def configured(folder: Path, **entries: Any) -> SiteConfig:
    texts = {name: [f"a {name} mark"[2:]] for name in NAMES}
    head = {"dataset": "d", "provider": "p", "model": "m", "template": "t"}
    (folder / "attributes.json").write_text(json.dumps({**head, "classes": texts}))
    value = {
        "client": "a",
        "images": {"tree": "images"},
        "attributes": "attributes.json",
        "backbone": "/srv/clip",
        "minimum": {"images": 1, "group": 1},
        **entries,
    }
    (folder / "site.yaml").write_text(json.dumps(value), encoding="utf-8")
    return load_site_config(folder / "site.yaml")


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    config = configured(tmp_path)
    assert config.images.tree == tmp_path / "images"
    assert config.attributes == tmp_path / "attributes.json"
    assert config.backbone == Path("/srv/clip")


@pytest.mark.parametrize(
    ("entries", "text"),
    [
        ({"images": {}}, r"images: give either tree or manifest"),
        ({"images": {"tree": "x", "manifest": "y"}}, r"give either tree or manifest"),
        ({"images": {"tree": "x", "domain": "y"}}, r"root and domain belong to a manifest"),
        ({"images": {"tree": "x", "template": "no place"}}, r"template must hold {} once"),
        ({"share": {"metrics": ["image"]}}, r"share.metrics.0: .*got 'image'"),
        ({"minimum": {"group": 0}}, r"minimum.group: .*got 0"),
        ({"max_update_norm": -1}, r"max_update_norm: .*got -1"),
        ({"image": "x"}, r"site.yaml: image: unknown key"),
    ],
)
def test_a_wrong_entry_is_named(tmp_path: Path, entries: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        configured(tmp_path, **entries)


def test_a_tree_with_parts_keeps_them(tiny: Backbone, tmp_path: Path) -> None:
    tree(tmp_path / "images", parts=True)
    data = SiteData(configured(tmp_path), tiny, 1)
    assert data.manifest.classes == NAMES
    assert data.client.train == tuple(
        f"images/train/{name}/{index}.png" for name in NAMES for index in (1, 2, 3)
    )
    (known,) = data.targets
    assert known.images == tuple(f"images/test/{name}/0.png" for name in NAMES)
    assert len(data.client_data()) == 9
    assert data.bank.texts("sentences")[1] == ("a photo of a dog, which has dog mark",)


def test_a_tree_without_parts_is_split_by_the_seed(tmp_path: Path) -> None:
    folder = tree(tmp_path / "images")
    one, again, other = (tree_manifest(folder, "a {}", 0.25, seed) for seed in (1, 1, 2))
    assert one == again
    assert [image.split for image in one.images] != [image.split for image in other.images]
    for images in one.by_class(split="test").values():
        assert len(images) == 1


def test_known_and_new_classes_share_no_image(tiny: Backbone, tmp_path: Path) -> None:
    tree(tmp_path / "images", parts=True)
    halves = SiteData(configured(tmp_path, known="half"), tiny, 1)
    assert halves.client.classes == ("cat", "dog")
    known, new = halves.targets
    assert (known.group, known.classes, new.group, new.classes) == (
        "known",
        ("cat", "dog"),
        "new",
        ("owl",),
    )
    assert new.images == ("images/test/owl/0.png",)
    named = SiteData(configured(tmp_path, known=["owl", "cat"]), tiny, 1)
    assert named.client.classes == ("cat", "owl")  # in label order
    with pytest.raises(ConfigError, match=r"site.yaml: known: is no class .*got 'fox'"):
        _ = SiteData(configured(tmp_path, known=["fox"]), tiny, 1).client


def test_a_manifest_of_the_pipeline_with_shots_of_a_domain(tiny: Backbone, tmp_path: Path) -> None:
    folder = tree(tmp_path / "images", parts=True, count=8)
    manifest = tree_manifest(folder, "a {}", 0.5, 1)
    halves = tuple(
        replace(image, domain="ink" if number % 2 else "oil")
        for number, image in enumerate(manifest.images)
    )
    manifest = replace(manifest, dataset="images", domains=("ink", "oil"), images=halves)
    save_manifest(manifest, tmp_path / "manifest.json")
    images = {"manifest": "manifest.json", "root": "images", "domain": "oil"}
    data = SiteData(configured(tmp_path, images=images, shots=2), tiny, 3)
    assert data.client.domain == "oil"
    expected = []
    for name in NAMES:
        own = manifest.by_class(domains={"oil"}, split="train")[name]
        expected += [image.id for image in draw_shots(own, 2, 3, "images", "oil", name)]
    assert list(data.client.train) == expected
    assert len(data.client_data()) == 6


def test_trees_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="folder is missing"):
        tree_manifest(tmp_path / "nowhere", "a {}", 0.5, 1)
    (tmp_path / "one/cat").mkdir(parents=True)
    with pytest.raises(DataError, match=r"holds fewer than two classes, or a class without an"):
        tree_manifest(tmp_path / "one", "a {}", 0.5, 1)


def test_images_of_many_labels_are_refused(tmp_path: Path, tiny: Backbone) -> None:
    save_manifest(multi_manifest(), tmp_path / "many.json")
    images = SimpleNamespace(tree=None, manifest=tmp_path / "many.json")
    data = SiteData(SimpleNamespace(images=images), tiny, 1)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="show one class each"):
        _ = data.manifest
