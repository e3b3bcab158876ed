"""Sources of every kind, their order, and what is said about files nobody can verify."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gdown
import pytest
from gdown.exceptions import FileURLRetrievalError

from fedmvp.catalog.spec import load_spec
from fedmvp.data.build import build_manifest
from fedmvp.data.fetch.progress import transfer_bar
from fedmvp.data.marker import read_marker
from fedmvp.data.sources import ensure_raw
from fedmvp.errors import ConfigError, SourceError

from .conftest import png, zip_bytes
from .test_web import Server, server

__all__ = ["server"]

ID = "1hyarUivQE36mY6jSomru6Fjd-JzwcCzN"


def tar_bytes(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def drive(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Stands for Google Drive: files by id; a quota for all others."""
    files: dict[str, bytes] = {}

    def download(*, id: str, output: str, resume: bool) -> str:
        if id not in files:
            raise FileURLRetrievalError("Too many users have\nviewed or downloaded this file")
        Path(output).write_bytes(files[id])
        return output

    monkeypatch.setattr(gdown, "download", download)
    return files


def drive_source(**file: Any) -> dict[str, Any]:
    return {"kind": "google_drive", "files": [{"id": ID, "name": "toy.zip", **file}]}


def test_drive(toy: Any, drive: dict[str, bytes]) -> None:
    drive[ID] = toy().read_bytes()
    toy(sources=[drive_source(sha256=hashlib.sha256(drive[ID]).hexdigest())])
    folder = ensure_raw(load_spec("toy"))
    assert len(list(folder.rglob("*.png"))) == 4
    assert not list((folder.parent / ".downloads").iterdir()), "the archive would double the disk"


def test_a_quota_is_told_and_the_next_source_used(
    toy: Any, drive: dict[str, bytes], server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    server.content = toy().read_bytes()
    good = {"url": server.url, "sha256": hashlib.sha256(server.content).hexdigest()}
    toy(sources=[drive_source(unchecked=True), {"kind": "http", "files": [good]}])
    folder = ensure_raw(load_spec("toy"))
    assert len(list(folder.rglob("*.png"))) == 4
    marker = read_marker(folder)
    assert marker and marker["kind"] == "http"
    said = capsys.readouterr().err
    assert "source 1 of 2 failed" in said and "Too many users have viewed" in said


def test_not_found_falls_back_with_both_reasons(
    toy: Any, drive: dict[str, bytes], server: Server
) -> None:
    server.status = 404
    bad = {"url": server.url, "sha256": "0" * 64}
    toy(sources=[{"kind": "http", "files": [bad]}, drive_source(unchecked=True)])
    with pytest.raises(SourceError, match=r"no source of toy works .*404.*Google Drive refused"):
        ensure_raw(load_spec("toy"))
    server.status = 200
    drive[ID] = toy().read_bytes()
    server.content = b"not the declared archive"
    toy(sources=[{"kind": "http", "files": [bad]}, drive_source(unchecked=True)])
    assert ensure_raw(load_spec("toy")).is_dir()


def test_a_hostile_archive_is_no_source(toy: Any, drive: dict[str, bytes], machine: Path) -> None:
    drive[ID] = zip_bytes({"photo/dog/1.png": png(), "../../evil.png": png()})
    toy(sources=[drive_source(unchecked=True)])
    with pytest.raises(SourceError, match="would leave the target folder"):
        ensure_raw(load_spec("toy"))
    assert not list(machine.rglob("evil.png"))
    assert not (machine / "raw" / "toy").exists()


def test_a_file_without_a_known_checksum_is_recorded_not_trusted(
    toy: Any, drive: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    drive[ID] = toy().read_bytes()
    digest = hashlib.sha256(drive[ID]).hexdigest()
    toy(sources=[drive_source(unchecked=True)])
    marker = read_marker(ensure_raw(load_spec("toy")))
    assert marker and marker["fetched"] == [{"name": "toy.zip", "sha256": digest, "checked": False}]
    assert f"no checksum of toy.zip is known; this copy's sha256 is {digest}" in marker["notes"]
    assert digest in capsys.readouterr().err


def test_a_declared_length_is_checked(toy: Any, drive: dict[str, bytes], machine: Path) -> None:
    drive[ID] = toy().read_bytes()
    toy(sources=[drive_source(unchecked=True, size_bytes=17)])
    with pytest.raises(SourceError, match="length is not the declared 17"):
        ensure_raw(load_spec("toy"))
    assert not list((machine / "raw").rglob("*toy.zip"))


@pytest.mark.parametrize("file", [{}, {"unchecked": True, "md5": "0" * 32}])
def test_a_checksum_or_its_absence_is_declared(toy: Any, file: dict[str, Any]) -> None:
    toy(sources=[drive_source(**file)])
    with pytest.raises(ConfigError, match="unchecked: true says so"):
        load_spec("toy")


def test_manual_data_says_every_step(toy: Any, capsys: pytest.CaptureFixture[str]) -> None:
    steps = ["Register at the site.", "Put the images below toy/."]
    toy(sources=[{"kind": "manual", "steps": steps}])
    with pytest.raises(SourceError) as raised:
        ensure_raw(load_spec("toy"))
    for text in (str(raised.value), capsys.readouterr().err):
        for step in ("(1) Register at the site.", "(2) Put the images", "(3) Run `fedmvp datasets"):
            assert step in text


def test_an_archive_in_an_archive(toy: Any, drive: dict[str, bytes], machine: Path) -> None:
    """Caltech101's zip holds the folder in some copies, an archive of it in others."""
    images = {f"objects/{c}/1.png": png() for c in ("big-cat", "dog")}
    more = {
        "layout": {"reader": "class_folders", "folder": ["objects", "top/objects"]},
        "domains": None,
        "sentence": {"prefix": "a"},
    }
    source = drive_source(unchecked=True, nested=["top/objects.tar.gz"])
    for content in (
        {"top/objects.tar.gz": tar_bytes(images)},
        {f"top/{name}": data for name, data in images.items()},
    ):
        drive[ID] = zip_bytes(content)
        toy(sources=[source], **more)
        folder = ensure_raw(load_spec("toy"))
        assert not list(folder.rglob("*.tar.gz"))
        paths = [image.path for image in build_manifest(load_spec("toy"), 1).images]
        assert paths == ["big-cat/1.png", "dog/1.png"]
        shutil.rmtree(machine / "raw")


SPLIT = {
    "train": [["big-cat/1.png", 0, "big cat"]],
    "val": [],
    "test": [["dog/1.png", 1, "dog"]],
}


@pytest.mark.parametrize("mirror_works", [True, False])
def test_the_split_file_is_fetched_along(
    toy: Any, drive: dict[str, bytes], mirror_works: bool
) -> None:
    drive[ID] = zip_bytes({f"{c}/{i}.png": png() for c in ("big-cat", "dog") for i in (1, 2)})
    other = ID[::-1]
    if mirror_works:
        drive[other] = json.dumps(SPLIT).encode()
    mirror = {"id": other, "name": "split_zhou_Toy.json", "unchecked": True, "unpack": False}
    toy(
        sources=[drive_source(unchecked=True)],
        split_file={"name": "split_zhou_Toy.json", "mirrors": [mirror]},
        layout={"reader": "class_folders"},
        domains=None,
        sentence={"prefix": "a"},
    )
    manifest = build_manifest(load_spec("toy"), 1)
    assert manifest.split.kind == ("file" if mirror_works else "generated")
    assert len(manifest.images) == (2 if mirror_works else 4)
    marker = read_marker(ensure_raw(load_spec("toy")))
    assert marker is not None
    lost = [note for note in marker["notes"] if "could not be fetched" in note]
    assert bool(lost) == (not mirror_works)


def test_terra_incognita_is_built_from_its_annotations(toy: Any, drive: dict[str, bytes]) -> None:
    annotations: dict[str, bytes] = {}
    for number, name in enumerate(("cis_test", "cis_val", "train", "trans_test", "trans_val")):
        images = [
            {"id": f"{number}a", "location": 38, "file_name": f"{number}a.jpg"},
            {"id": f"{number}b", "location": 43, "file_name": f"{number}b.jpg"},
            {"id": f"{number}c", "location": 99, "file_name": f"{number}c.jpg"},
        ]
        labels = [
            (f"{number}a", 1),
            (f"{number}a", 2),
            (f"{number}b", 2),
            (f"{number}b", 3),
            (f"{number}b", 1),
            (f"{number}c", 1),
        ]
        annotations[f"eccv_18_annotation_files/{name}_annotations.json"] = json.dumps(
            {
                "images": images,
                "annotations": [{"image_id": i, "category_id": c} for i, c in labels],
                "categories": [
                    {"id": 1, "name": "cat"},
                    {"id": 2, "name": "dog"},
                    {"id": 3, "name": "car"},
                ],
            }
        ).encode()
    images_ = {f"eccv_18_all_images_sm/{n}{x}.jpg": png() for n in range(5) for x in "abc"}
    drive[ID] = tar_bytes({**annotations, **images_})
    toy(
        sources=[drive_source(unchecked=True)],
        prepare="terra_incognita",
        domains=[
            {"name": "l38", "folder": "location_38"},
            {"name": "l43", "folder": "location_43"},
        ],
        sentence={"prefix": "a"},
        classes=["cat", "dog"],
    )
    manifest = build_manifest(load_spec("toy"), 1)
    folder = ensure_raw(load_spec("toy"))
    # An image with two animals is an example of both; other places and things are left out.
    assert len(manifest.images) == 20
    assert (folder / "location_38/cat/0a.jpg").samefile(folder / "location_38/dog/0a.jpg")
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == [
        "location_38",
        "location_43",
    ]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_person_sees_size_speed_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(sys, "stderr", screen)
    with transfer_bar("toy.zip") as advance:
        for have in (1_000_000, 2_000_000, 3_000_000):
            advance(have, 4_000_000)
    shown = screen.getvalue()
    assert "toy.zip" in shown and "3.0/4.0 MB" in shown
    assert re.search(r"\d \w+/s", shown) and re.search(r"\d:\d\d:\d\d", shown)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with transfer_bar("toy.zip") as advance:
        advance(1, None)
    assert not sys.stderr.getvalue()  # type: ignore[attr-defined]
