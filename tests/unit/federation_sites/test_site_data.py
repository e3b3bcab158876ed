"""From site.yaml to the images and classes a site trains and is tested on."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from fedmvp.clip.backbone import Backbone
from fedmvp.data.manifest_files import save_manifest
from fedmvp.errors import ConfigError, DataError
from fedmvp.federation.site_config import SiteConfig, load_site_config
from fedmvp.federation.site_data import SiteData
from fedmvp.federation.site_trees import labelled_manifest, tree_manifest
from fedmvp.methods.multilabel_head import MultiLabelHead
from fedmvp.multilabel_config import MultiLabelParams
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
        (
            {"images": {"tree": "x", "domain": "y"}},
            r"root and domain can only be given with manifest",
        ),
        ({"images": {"tree": "x", "template": "no place"}}, r"template must contain {} once"),
        ({"images": {"manifest": "x", "labels": "y"}}, r"labels can only be given with tree"),
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
    with pytest.raises(ConfigError, match=r"site.yaml: known: is not a class .*got 'fox'"):
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
    with pytest.raises(DataError, match=r"contains fewer than two classes, or a class without an"):
        tree_manifest(tmp_path / "one", "a {}", 0.5, 1)


def test_images_of_many_labels_are_refused(tmp_path: Path, tiny: Backbone) -> None:
    """A federation of one class an image takes no other, and one of many labels neither."""
    save_manifest(multi_manifest(), tmp_path / "many.json")
    data = SiteData(configured(tmp_path, images={"manifest": "many.json"}), tiny, 1)
    with pytest.raises(DataError, match=r"do not fit the federation's task; got 'task: multi'"):
        _ = data.manifest
    tree(tmp_path / "images")
    data = SiteData(configured(tmp_path), tiny, 1, MultiLabelHead(MultiLabelParams(), 100.0))
    with pytest.raises(DataError, match=r"got 'task: single'; hint: give a table of labels"):
        _ = data.manifest


def labelled(folder: Path, rows: dict[str, str], *, files: bool = True) -> tuple[Path, Path]:
    """Write images and a table; return folder and table."""
    for name in rows if files else ():
        (folder / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32)).save(folder / "images" / name)
    lines = ["image,classes", *(f"{name},{classes}" for name, classes in rows.items())]
    (folder / "labels.csv").write_text("\n".join(lines), encoding="utf-8")
    return folder / "images", folder / "labels.csv"


def test_a_table_of_labels_keeps_its_parts_and_images_that_show_nothing(tmp_path: Path) -> None:
    rows = {"train/b.png": "owl; cat", "train/a.png": "", "test/a.png": "owl"}
    manifest = labelled_manifest(*labelled(tmp_path, rows), "a {}.", 0.5, 1)
    assert (manifest.task, manifest.classes) == ("multi", ("cat", "owl"))
    found = {image.path: (image.labels, image.split) for image in manifest.images}
    assert found == {
        "test/a.png": ((1,), "test"),
        "train/a.png": ((), "train"),
        "train/b.png": ((0, 1), "train"),
    }


def test_a_table_without_parts_is_split_by_the_rarest_class(tmp_path: Path) -> None:
    rows = {f"{k}.png": "cat" if k < 8 else "cat;owl" for k in range(12)}
    manifest = labelled_manifest(*labelled(tmp_path, rows), "a {}.", 0.5, 1)
    held = [image.labels for image in manifest.images if image.split == "test"]
    assert sorted(held) == [(0,)] * 4 + [(0, 1)] * 2
    changed = labelled(tmp_path, {**rows, "0.png": "owl"})
    assert labelled_manifest(*changed, "a {}.", 0.5, 1).content != manifest.content


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("image,classes\na.png,cat\na.png,owl", "is listed twice; got 'row 3: a.png'"),
        ("image,classes\n../a.png,cat", "is not the path of an image in the tree"),
        ("image,classes\n/a.png,cat", "is not the path of an image in the tree"),
        ("image,classes\nb.png,cat", "is not in the tree"),
        ("image,label\na.png,cat", "has other columns; got 'image, label'"),
        ("image,classes\na.png,cat", "fewer than two classes"),
        (None, "file is missing"),
    ],
)
def test_tables_that_are_none(tmp_path: Path, table: str | None, told: str) -> None:
    folder, path = labelled(tmp_path, {"a.png": "cat"})
    path.unlink()
    if table is not None:
        path.write_text(table, encoding="utf-8")
    with pytest.raises(DataError, match=re.escape(told)):
        labelled_manifest(folder, path, "a {}.", 0.5, 1)


def test_training_images_of_many_labels_show_no_new_class(tiny: Backbone, tmp_path: Path) -> None:
    rows = {
        "train/0.png": "cat",
        "train/1.png": "cat;dog",
        "train/2.png": "dog;owl",  # shows a new class: not trained on
        "train/3.png": "",
        "test/0.png": "cat;owl",
        "test/1.png": "dog",
        "test/2.png": "",
    }
    labelled(tmp_path, rows)
    images = {"tree": "images", "labels": "labels.csv"}
    head = MultiLabelHead(MultiLabelParams(), 100.0)
    data = SiteData(configured(tmp_path, images=images, known="half"), tiny, 1, head)
    assert data.client.classes == ("cat", "dog")
    assert data.client.train == tuple(f"images/train/{k}.png" for k in (0, 1, 3))
    assert data.client_data().labels.tolist() == [[1, 0], [1, 1], [0, 0]]
    known, new = data.targets
    assert known.images == tuple(f"images/test/{k}.png" for k in (0, 1, 2))
    assert (new.classes, new.images) == (("owl",), ("images/test/0.png",))
    few = SiteData(configured(tmp_path, images=images, known="half", shots=1), tiny, 1, head)
    assert "images/train/3.png" not in few.client.train
    assert 1 <= len(few.client.train) <= 2
    every = SiteData(configured(tmp_path, images=images, known=["cat", "owl"]), tiny, 1, head)
    with pytest.raises(DataError, match=r"no training image shows the class; got 'owl'"):
        _ = every.client
