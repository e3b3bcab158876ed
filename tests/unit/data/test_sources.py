from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from fedmvp.catalog.sources import EmbeddedSource
from fedmvp.catalog.spec import load_spec
from fedmvp.data.build import build_manifest
from fedmvp.data.fetch import kinds
from fedmvp.data.marker import MARKER
from fedmvp.data.sources import ensure_raw
from fedmvp.errors import DataError, SourceError

from .conftest import ROOT, png, zip_bytes

EMOJI = ["activities", "animals", "food", "objects", "travel"]


@pytest.mark.parametrize("name", EMOJI)
def test_shipped_archives_are_the_declared_ones(name: str) -> None:
    (source,) = load_spec(name).sources
    assert isinstance(source, EmbeddedSource)
    (file,) = source.files
    archive = ROOT / "data" / "emoji" / f"{name}.zip"
    assert hashlib.sha256(archive.read_bytes()).hexdigest() == file.sha256


def test_shipped_archives_are_small_and_attributed() -> None:
    folder = ROOT / "data" / "emoji"
    assert sum(path.stat().st_size for path in folder.glob("*.zip")) <= 16_000_000
    attribution = (folder / "ATTRIBUTION.md").read_text()
    for domain in load_spec("animals").domain_names:
        assert f"| {domain} |" in attribution


def test_fetches_once(toy: Any) -> None:
    archive = toy()
    folder = ensure_raw(load_spec("toy"))
    assert (folder / "photo" / "dog" / "1.png").is_file()
    archive.unlink()
    assert ensure_raw(load_spec("toy")) == folder


def test_missing_archive_is_one_clear_error(toy: Any) -> None:
    toy().unlink()
    with pytest.raises(SourceError, match="missing") as raised:
        ensure_raw(load_spec("toy"))
    assert "toy.zip" in str(raised.value) and "git checkout" in str(raised.value)


def test_corrupt_archive_is_one_clear_error_and_leaves_nothing(toy: Any, machine: Path) -> None:
    archive = toy()
    archive.write_bytes(archive.read_bytes()[:-1])
    with pytest.raises(SourceError, match="sha256 is not the declared"):
        ensure_raw(load_spec("toy"))
    assert not [path for path in (machine / "raw").iterdir() if path.is_dir()]


def test_a_damaged_archive_is_noticed_after_extraction(toy: Any) -> None:
    archive = toy()
    ensure_raw(load_spec("toy"))
    archive.write_bytes(b"damaged")
    with pytest.raises(SourceError, match=r"toy\.zip: sha256 is not the declared"):
        build_manifest(load_spec("toy"), 1)


def test_half_extraction_is_never_taken_as_whole(toy: Any, machine: Path) -> None:
    """A killed extraction leaves a hidden staging folder; the next run starts afresh."""
    toy()
    stale = machine / "raw" / ".toy.partial-x"
    (stale / "photo" / "dog").mkdir(parents=True)
    folder = ensure_raw(load_spec("toy"))
    assert not stale.exists()
    assert len(list(folder.rglob("*.png"))) == 4


def test_a_failed_extraction_leaves_nothing(
    toy: Any, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy()

    def fails(archive: Path, target: Path) -> None:
        (target / "photo").mkdir()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kinds, "extract", fails)
    with pytest.raises(SourceError, match="No space left"):
        ensure_raw(load_spec("toy"))
    assert not [path for path in (machine / "raw").iterdir() if path.is_dir()]


def test_lost_files_are_fetched_again(toy: Any) -> None:
    toy()
    folder = ensure_raw(load_spec("toy"))
    (folder / "photo" / "dog" / "1.png").unlink()
    ensure_raw(load_spec("toy"))
    assert (folder / "photo" / "dog" / "1.png").is_file()


def test_another_archive_replaces_what_was_fetched(toy: Any) -> None:
    toy()
    ensure_raw(load_spec("toy"))
    toy(zip_bytes({"photo/dog/2.png": png()}))
    folder = ensure_raw(load_spec("toy"))
    assert [path.name for path in folder.rglob("*.png")] == ["2.png"]


def test_damaged_marker_means_fetch_again(toy: Any) -> None:
    toy()
    folder = ensure_raw(load_spec("toy"))
    marker = (folder / MARKER).read_text()
    (folder / MARKER).write_text(marker[:10])
    ensure_raw(load_spec("toy"))
    assert (folder / MARKER).read_text() == marker
    assert json.loads(marker)["files"] == 4


def test_files_put_beside_fetched_ones_stay(toy: Any) -> None:
    """A split file is put there by hand, and file browsers leave files of their own."""
    toy()
    folder = ensure_raw(load_spec("toy"))
    (folder / "split_zhou_Toy.json").write_text("{}")
    (folder / "photo/.DS_Store").touch()
    assert ensure_raw(load_spec("toy")) == folder
    assert (folder / "split_zhou_Toy.json").is_file()


def test_own_images_are_used_in_place_and_never_changed(toy: Any, machine: Path) -> None:
    toy()
    folder = machine / "raw" / "toy"
    shutil.copytree(ensure_raw(load_spec("toy")), machine / "mine")
    shutil.rmtree(folder)
    (machine / "mine" / MARKER).unlink()
    (machine / "mine").rename(folder)
    before = sorted(folder.rglob("*"))
    assert ensure_raw(load_spec("toy")) == folder
    assert len(build_manifest(load_spec("toy"), 1).images) == 4
    assert sorted(folder.rglob("*")) == before


def test_own_images_that_are_not_whole_are_refused(toy: Any, machine: Path) -> None:
    toy(counts={"images": 4})
    for name in ("photo/big-cat", "photo/dog", "sketch/dog"):
        (machine / "raw" / "toy" / name).mkdir(parents=True)
        (machine / "raw" / "toy" / name / "1.png").write_bytes(png())
    with pytest.raises(DataError, match="not the declared 4; got 3"):
        build_manifest(load_spec("toy"), 1)


def test_falls_back_to_the_next_source(toy: Any, machine: Path) -> None:
    archive = toy()
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    files = [{"path": str(machine / "gone.zip"), "sha256": digest}]
    good = [{"path": str(archive), "sha256": digest}]
    both = [{"kind": "embedded", "files": files}, {"kind": "embedded", "files": good}]
    toy(sources=both)
    assert ensure_raw(load_spec("toy")).is_dir()
    toy(sources=[both[0], both[0]])
    shutil.rmtree(machine / "raw")
    with pytest.raises(SourceError, match=r"no source of toy works .*gone.zip.*gone.zip"):
        ensure_raw(load_spec("toy"))


def test_a_file_may_be_kept_as_it_is(toy: Any, machine: Path) -> None:
    archive = toy()
    extra = machine / "names.txt"
    extra.write_text("dog")
    files = [
        {"path": str(archive), "sha256": hashlib.sha256(archive.read_bytes()).hexdigest()},
        {
            "path": str(extra),
            "md5": hashlib.md5(b"dog", usedforsecurity=False).hexdigest(),
            "unpack": False,
            "into": "lists",
        },
    ]
    toy(sources=[{"kind": "embedded", "files": files}])
    assert (ensure_raw(load_spec("toy")) / "lists" / "names.txt").read_text() == "dog"
