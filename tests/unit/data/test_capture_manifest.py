"""Cameras in a catalog entry, its manifest and the cache of decoded images."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from fedmvp.catalog.cameras import Camera
from fedmvp.catalog.spec import load_spec
from fedmvp.data.build import build_manifest, cameras_at
from fedmvp.data.capture import photograph
from fedmvp.data.decode import decode_image
from fedmvp.data.images import load_images
from fedmvp.data.manifest import Manifest
from fedmvp.data.manifest_files import load_manifest, save_manifest
from fedmvp.data.sources import ensure_raw, shipped_checksums
from fedmvp.errors import ConfigError, DataError
from fedmvp.files import sha256_json

from .conftest import ROOT

CAMERAS = {"photo": {"exposure": 0.5, "noise": 0.1}, "sketch": {"cast": [1, 1, 0.5], "blur": 2}}
EMOJI = ("animals", "food", "objects", "travel", "activities")


def ids_of(manifest: Manifest) -> list[str]:
    return [image.id for image in manifest.images]


@pytest.mark.parametrize("name", EMOJI)
def test_shipped_cameras_are_those_of_the_script(name: str) -> None:
    """Read, not imported: the script needs a renderer the pipeline does not."""
    tree = ast.parse((ROOT / "data/emoji/build.py").read_text(encoding="utf-8"))
    (value,) = (
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "CAMERAS"
    )
    written = {
        domain: yaml.safe_load(f"{{{text}}}") for domain, text in ast.literal_eval(value).items()
    }
    spec = load_spec(name)
    assert spec.capture == {domain: Camera(**camera) for domain, camera in written.items()}
    assert tuple(spec.capture) == spec.domain_names
    assert cameras_at(spec, 1.5).keys() == spec.capture.keys()


def test_a_manifest_without_cameras_is_as_it_was(toy: Any, machine: Path) -> None:
    toy(capture=CAMERAS)
    declared = build_manifest(load_spec("toy"), 1, 0)
    toy()
    spec = load_spec("toy")
    plain, severe = build_manifest(spec, 1), build_manifest(spec, 1, 0.7)
    assert declared == plain == severe
    root = ensure_raw(spec)
    files = [[image.path, (root / image.path).stat().st_size] for image in plain.images]
    assert plain.content == sha256_json({"files": files, "sources": shipped_checksums(spec)})
    save_manifest(plain, machine / "toy.json")
    assert list(json.loads((machine / "toy.json").read_text())) == [
        "dataset",
        "title",
        "template",
        "sentence",
        "split",
        "subset",
        "content",
        "classes",
        "domains",
        "columns",
        "images",
    ]
    assert load_manifest(machine / "toy.json").capture == {}


def test_cameras_are_written_and_read(toy: Any, machine: Path) -> None:
    toy(capture=CAMERAS)
    manifest = build_manifest(load_spec("toy"), 1, 0.7)
    assert manifest.capture["photo"] == Camera(exposure=0.5, noise=0.1).at(0.7)
    save_manifest(manifest, machine / "toy.json")
    loaded = load_manifest(machine / "toy.json")
    assert loaded == manifest
    save_manifest(loaded, machine / "again.json")
    assert (machine / "again.json").read_bytes() == (machine / "toy.json").read_bytes()


def test_content_follows_severity_camera_and_domain(toy: Any) -> None:
    contents = []
    for capture in (CAMERAS, {"photo": CAMERAS["photo"]}, {"photo": CAMERAS["sketch"]}):
        toy(capture=capture)
        contents += [
            build_manifest(load_spec("toy"), 1, severity).content for severity in (0.5, 0.7, 1)
        ]
    contents.append(build_manifest(load_spec("toy"), 1).content)
    assert len(set(contents)) == len(contents)


def test_domains_that_swap_folders_swap_cameras(toy: Any) -> None:
    """The files and their order stay the same; nothing decoded before may be used."""
    folders = [{"name": "photo", "folder": "sketch"}, {"name": "sketch", "folder": "photo"}]
    toy(capture=CAMERAS, domains=["sketch", "photo"])
    before = build_manifest(load_spec("toy"), 1, 1)
    seen = np.array(load_images(before, ids_of(before), 8, "all"))
    toy(capture=CAMERAS, domains=folders)
    after = build_manifest(load_spec("toy"), 1, 1)
    assert ids_of(before) == ids_of(after)
    assert before.content != after.content
    assert (load_images(after, ids_of(after), 8, "all") != seen).any(axis=(1, 2, 3)).all()


def test_images_are_taken_by_their_domains_camera(toy: Any, machine: Path) -> None:
    toy(capture={"photo": CAMERAS["photo"]})
    spec = load_spec("toy")
    clean, seen = build_manifest(spec, 1), build_manifest(spec, 1, 0.8)
    ids, root = ids_of(seen), ensure_raw(spec)
    together = load_images(seen, ids, 16, "all")
    for number, image in enumerate(seen.images):
        plain = decode_image(root / image.path, 16)
        camera = seen.capture.get(image.domain)
        expected = plain if camera is None else photograph(plain, camera, image.id)
        np.testing.assert_array_equal(together[number], expected)
        # Whatever is decoded with it.
        np.testing.assert_array_equal(load_images(seen, [image.id], 16, "all")[0], expected)
        assert (camera is None) == (image.domain == "sketch")
        assert np.array_equal(load_images(clean, [image.id], 16, "all")[0], plain)


def test_each_severity_has_cache_files_of_its_own(toy: Any, machine: Path) -> None:
    toy(capture=CAMERAS)
    spec = load_spec("toy")
    for number, severity in enumerate((0, 0.5, 1), start=1):
        for _ in range(2):
            manifest = build_manifest(spec, 1, severity)
            load_images(manifest, ids_of(manifest), 8, "all")
        assert len([*(machine / "cache").rglob("*.npy")]) == number


def test_a_dataset_without_domains_has_one_camera(toy: Any) -> None:
    toy(
        domains=None,
        sentence={"prefix": "a"},
        layout={"reader": "class_folders", "folder": "photo"},
        capture={"default": {"exposure": 0.5}},
    )
    assert build_manifest(load_spec("toy"), 1, 1).capture == {"default": Camera(exposure=0.5)}


def test_impossible_severities_name_where_they_were_given(toy: Any) -> None:
    toy(capture=CAMERAS)
    spec = load_spec("toy")
    for severity in (-1, float("nan")):
        with pytest.raises(ConfigError, match=r"params.yaml: data.capture: not a severity"):
            cameras_at(spec, severity)
    for severity in (2, float("inf")):
        with pytest.raises(ConfigError, match=r"^there: too severe for the camera of 'photo'"):
            cameras_at(spec, severity, "there")


@pytest.mark.parametrize(
    ("capture", "message"),
    [
        ([], "capture is not a mapping"),
        (None, "capture is not a mapping"),
        ({"oil": {}}, "'oil', which is not a domain"),
        ({"photo": {"exposure": 0}}, "greater than 0"),
        ({"photo": []}, "valid dictionary"),
    ],
)
def test_a_damaged_camera_is_one_clear_error(
    toy: Any, machine: Path, capture: object, message: str
) -> None:
    toy(capture=CAMERAS)
    path = machine / "toy.json"
    save_manifest(build_manifest(load_spec("toy"), 1, 1), path)
    path.write_text(json.dumps({**json.loads(path.read_text()), "capture": capture}))
    with pytest.raises(DataError, match=message) as caught:
        load_manifest(path)
    assert "\n" not in str(caught.value)
