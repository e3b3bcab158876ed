from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fedmvp.catalog.spec import load_spec
from fedmvp.data.build import build_manifest
from fedmvp.data.images import GIB, load_images, make_room
from fedmvp.errors import ConfigError, DataError

KIB = 1 << 10


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Three cached files of 1 KiB, the least recently used first; a limit of 4 KiB."""
    monkeypatch.setenv("FEDMVP_CACHE_GIB", str(4 * KIB / GIB))
    made = {}
    for age, name in enumerate(("c", "b", "a")):
        path = tmp_path / "images" / name / f"{name}.npy"
        path.parent.mkdir(parents=True)
        path.write_bytes(bytes(KIB))
        os.utime(path, (1000 - age, 1000 - age))
        made[name] = path
    return made


def left(files: dict[str, Path]) -> str:
    return "".join(sorted(name for name, path in files.items() if path.exists()))


@pytest.mark.parametrize(("need", "kept"), [(1, "abc"), (2, "bc"), (3, "c"), (4, "")])
def test_the_least_recently_used_goes_first(
    files: dict[str, Path], tmp_path: Path, need: int, kept: str
) -> None:
    make_room(tmp_path / "images", need * KIB)
    assert left(files) == kept


def test_what_can_never_fit_is_told_with_its_size(files: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"more than the cache limit.*FEDMVP_CACHE_GIB"):
        make_room(tmp_path / "images", 5 * KIB)


def test_a_full_disk(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=KIB))
    with pytest.raises(DataError, match="more than the free disk space"):
        make_room(tmp_path / "images", KIB)


def test_what_killed_processes_left_is_removed(files: dict[str, Path], tmp_path: Path) -> None:
    old, new = tmp_path / "images/.partial-old", tmp_path / "images/.partial-new"
    for path in (old, new):
        path.write_bytes(b"x")
    os.utime(old, (1000, 1000))
    os.utime(new, (time.time(), time.time()))
    make_room(tmp_path / "images", 0)
    assert (old.exists(), new.exists()) == (False, True)


@pytest.mark.parametrize("value", ["many", "0", "-1", "nan", "inf"])
def test_a_wrong_limit_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("FEDMVP_CACHE_GIB", value)
    with pytest.raises(ConfigError, match="FEDMVP_CACHE_GIB"):
        make_room(tmp_path, 1)


def test_images_come_back_after_eviction(
    toy: Any, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy()
    manifest = build_manifest(load_spec("toy"), 1)
    ids = [image.id for image in manifest.images]
    one = 8 * 8 * 3
    monkeypatch.setenv("FEDMVP_CACHE_GIB", str((one + 200) / GIB))
    first = load_images(manifest, ids[:1], 8, "all")
    load_images(manifest, ids[1:2], 8, "all")
    assert len(list((machine / "cache").rglob("*.npy"))) == 1
    # What is mapped lives on, and what was evicted is decoded again.
    assert (load_images(manifest, ids[:1], 8, "all") == first).all()
