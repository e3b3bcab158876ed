from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from fedmvp.data.fetch.archives import extract
from fedmvp.errors import SourceError

ESCAPES = ["../out.png", "/abs/out.png", "a/../../out.png", "..\\out.png", "C:/out.png"]


def _tar(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def _tar_of(path: Path, name: str, kind: bytes = tarfile.REGTYPE) -> Path:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "elsewhere"
    return _tar(path, (info, b"" if kind != tarfile.REGTYPE else b"content"))


def _zip_of(path: Path, name: str, mode: int = stat.S_IFREG | 0o644) -> Path:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, mode << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(info, b"content")
    return path


@pytest.mark.parametrize("make", [_tar_of, _zip_of])
def test_extracts_below_the_target(tmp_path: Path, make: Callable[[Path, str], Path]) -> None:
    # Public archives are misnamed: the kind is told from the content.
    extract(make(tmp_path / "archive.bin", "a/b.png"), tmp_path / "out")
    assert (tmp_path / "out" / "a" / "b.png").read_bytes() == b"content"


@pytest.mark.parametrize("make", [_tar_of, _zip_of])
@pytest.mark.parametrize("name", ESCAPES)
def test_refuses_members_that_leave_the_target(
    tmp_path: Path, make: Callable[[Path, str], Path], name: str
) -> None:
    archive = make(tmp_path / "archive", name)
    with pytest.raises(SourceError, match="leave the target"):
        extract(archive, tmp_path / "deep" / "out")
    assert not list(tmp_path.rglob("out.png"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_refuses_links_and_devices_in_tar(tmp_path: Path, kind: bytes) -> None:
    with pytest.raises(SourceError, match="link or device"):
        extract(_tar_of(tmp_path / "archive", "a", kind), tmp_path / "out")


def test_refuses_links_in_zip(tmp_path: Path) -> None:
    archive = _zip_of(tmp_path / "archive", "a", stat.S_IFLNK | 0o777)
    with pytest.raises(SourceError, match="link or device"):
        extract(archive, tmp_path / "out")


def test_damaged_archives_are_one_clear_error(tmp_path: Path) -> None:
    whole = _zip_of(tmp_path / "whole", "a").read_bytes()
    flipped = tmp_path / "flipped"
    flipped.write_bytes(whole.replace(b"content", b"CONTENT"))
    with pytest.raises(SourceError, match="damaged"):
        extract(flipped, tmp_path / "out")
    cut = tmp_path / "cut"
    cut.write_bytes(_tar_of(tmp_path / "t", "a").read_bytes()[:60])
    with pytest.raises(SourceError, match="damaged"):
        extract(cut, tmp_path / "out")
    text = tmp_path / "text"
    text.write_text("<html>quota exceeded</html>")
    with pytest.raises(SourceError, match="not a zip or tar"):
        extract(text, tmp_path / "out")


def test_contradicting_members_are_one_clear_error(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("a", b"1")
        opened.writestr("a/b", b"2")
    with pytest.raises(SourceError, match="contradict"):
        extract(archive, tmp_path / "out")
