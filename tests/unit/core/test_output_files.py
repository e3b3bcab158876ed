"""A name from a user is written where it leads, or refused before anything is done."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedmvp.errors import ConfigError
from fedmvp.files import write_bytes
from fedmvp.output_files import check_output, write_output


@pytest.fixture
def private_umask() -> Iterator[None]:
    """Let new files be their owner's alone."""
    before = os.umask(0o077)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_has_the_mode_the_umask_leaves(tmp_path: Path, private_umask: None) -> None:
    write_output(tmp_path / "deep/new", b"x")
    write_bytes(tmp_path / "own", b"x")
    assert mode(tmp_path / "deep/new") == mode(tmp_path / "own") == 0o600


def test_an_old_file_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "old"
    path.write_bytes(b"old")
    path.chmod(0o640)
    write_output(path, b"new")
    assert (path.read_bytes(), mode(path)) == (b"new", 0o640)
    assert [each.name for each in tmp_path.iterdir()] == ["old"]


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_stays_and_its_target_is_written(tmp_path: Path, exists: bool) -> None:
    target = tmp_path / "elsewhere/target"
    target.parent.mkdir()
    if exists:
        target.write_bytes(b"old")
    link = tmp_path / "link"
    link.symlink_to("elsewhere/target")
    write_output(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert not target.is_symlink()


def test_a_second_name_of_a_file_keeps_the_content(tmp_path: Path) -> None:
    """As a file that DVC linked into its cache: the other name is not written through."""
    (tmp_path / "cache").write_bytes(b"old")
    (tmp_path / "out").hardlink_to(tmp_path / "cache")
    write_output(tmp_path / "out", b"new")
    assert (tmp_path / "cache").read_bytes() == b"old"


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    write_output(pipe, b"through")
    reader.join(10)
    assert read == [b"through"]
    assert pipe.is_fifo()


def test_a_device_is_written_to(tmp_path: Path) -> None:
    null = Path(os.devnull)
    (tmp_path / "link").symlink_to(null)
    for path in (null, tmp_path / "link"):
        write_output(path, b"x")
    assert null.is_char_device()
    assert (tmp_path / "link").is_symlink()


def test_what_stands_in_dev_for_an_open_file_is_appended_to(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w+b") as file:
        file.write(b"before ")
        file.flush()
        inode = os.fstat(file.fileno()).st_ino
        write_output(Path(f"/dev/fd/{file.fileno()}"), b"after")
    assert (tmp_path / "log").read_bytes() == b"before after"
    assert (tmp_path / "log").stat().st_ino == inode


def test_folders_inputs_and_protected_files_are_refused(tmp_path: Path) -> None:
    source = tmp_path / "input"
    source.write_bytes(b"an input")
    (tmp_path / "link").symlink_to(source)
    (tmp_path / "twin").hardlink_to(source)
    protected = tmp_path / "protected"
    protected.write_bytes(b"x")
    protected.chmod(0o444)
    for name, what in (
        ("", "is a folder"),
        ("input", "is read"),
        ("link", "is read"),
        ("twin", "is read"),
        ("protected", "write-protected"),
    ):
        with pytest.raises(ConfigError, match=what):
            write_output(tmp_path / name, b"x", [tmp_path / "absent", source])
    check_output(tmp_path / "new", [source])
    assert source.read_bytes() == b"an input"
    assert protected.read_bytes() == b"x"
