"""Files of ``torch.save`` that a few bytes make huge, or that torch cannot compute with."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zipfile
from pathlib import Path

import pytest
import torch

from fedmvp.clip.torch_files import read_torch


def overlapping(copies: int, *, program: bool) -> bytes:
    """Return an archive whose directory lists one stored record again and again."""
    buffer = io.BytesIO()
    torch.save({"w": torch.zeros(250_000)}, buffer)
    source = zipfile.ZipFile(buffer)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for record in source.infolist():
            archive.writestr(record.filename, source.read(record))
        if program:
            archive.writestr("archive/constants.pkl", b"")
        twin = next(r for r in archive.infolist() if r.filename.endswith("data/0"))
        for number in range(1, copies):
            again = zipfile.ZipInfo(twin.filename[:-1] + str(number))
            # The local header holds the first one's name, so the new name must be as long.
            again.header_offset, again.CRC = twin.header_offset, twin.CRC
            again.file_size, again.compress_size = twin.file_size, twin.compress_size
            archive.filelist.append(again)
    return out.getvalue()


@pytest.mark.parametrize("program", [True, False])
def test_one_record_listed_many_times_is_refused_before_it_is_read(
    tmp_path: Path, program: bool
) -> None:
    path = tmp_path / "bomb.pt"
    path.write_bytes(overlapping(300, program=program))
    assert path.stat().st_size < 2_000_000
    tracemalloc.start()
    with pytest.raises(ValueError, match="overlap"):
        read_torch(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"w": torch.zeros(1).expand(30_000, 30_000)}, "far larger"),
        ([[{"w": torch.zeros(1).expand(30_000, 30_000)}]], "far larger"),
        ({"w": torch.sparse_coo_tensor(size=(10**6, 10**6))}, "plain array"),
        ({"w": torch.zeros(4).to(torch.float8_e4m3fn)}, "plain array"),
        ({"w": torch.empty(10**6, device="meta")}, "plain array"),
        ({"w": torch.zeros(4, dtype=torch.complex64)}, "plain array"),
    ],
    ids=["expanded", "nested", "sparse", "float8", "meta", "complex"],
)
def test_tensors_a_few_bytes_stand_for_are_refused(
    tmp_path: Path, value: object, message: str
) -> None:
    torch.save(value, tmp_path / "x.pt")
    with pytest.raises(ValueError, match=message):
        read_torch(tmp_path / "x.pt")


def test_tensors_that_share_values_are_taken(tmp_path: Path) -> None:
    shared = torch.arange(1000.0)
    value = {"a": shared, "b": shared, "c": [shared[:10], 3]}
    torch.save(value, tmp_path / "x.pt")
    torch.save(value, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    for name in ("x.pt", "old.pt"):
        assert torch.equal(read_torch(tmp_path / name)["b"], shared)


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", "/"])
def test_only_files_are_read(path: str) -> None:
    with pytest.raises(ValueError, match="regular file"):
        read_torch(Path(path))


def test_a_header_of_an_old_file_that_lies_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    torch.save({"w": torch.zeros(10)}, buffer, _use_new_zipfile_serialization=False)
    content = buffer.getvalue()
    place = content.rindex(struct.pack("<q", 10))
    lying = content[:place] + struct.pack("<q", 10**9) + content[place + 8 :]
    (tmp_path / "x.pt").write_bytes(lying)
    with pytest.raises((RuntimeError, ValueError, OSError, EOFError)):
        read_torch(tmp_path / "x.pt")
