"""safetensors as data: what the library would let through, or trips over, is refused in words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from fedmvp.tensor_files import parse_tensors, read_tensors


def file_of(header: str, data: bytes) -> bytes:
    text = header.encode()
    return len(text).to_bytes(8, "little") + text + data


def entry(kind: str, shape: list[int], end: int, start: int = 0) -> str:
    return json.dumps({"dtype": kind, "shape": shape, "data_offsets": [start, end]})


BAD = {
    "twice": (
        file_of(f'{{"a": {entry("F32", [1], 4)}, "a": {entry("F32", [1], 4)}}}', bytes(4)),
        "duplicate key 'a'",
    ),
    "half bytes": (file_of(f'{{"a": {entry("F4", [2], 1)}}}', bytes(1)), "of format 'F4'"),
    "eighths": (file_of(f'{{"a": {entry("F8_E4M3", [1], 1)}}}', bytes(1)), "of format 'F8_E4M3'"),
    "no format": (file_of('{"a": 3}', b""), "of format None"),
    "a list": (file_of("[]", b""), "not a table"),
    "deep": (file_of("[" * 50_000, b""), "deeply"),
    "long": ((2**62).to_bytes(8, "little") + b"{}", "longer"),
    "cut": (file_of(f'{{"a": {entry("F32", [2], 8)}}}', bytes(4)), ""),
    "overlap": (
        file_of(f'{{"a": {entry("F32", [1], 4)}, "b": {entry("F32", [1], 4)}}}', bytes(4)),
        "",
    ),
    "nothing": (b"", ""),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_not_such_a_file_is_refused(name: str, tmp_path: Path) -> None:
    content, message = BAD[name]
    with pytest.raises(ValueError, match=message or None):
        parse_tensors(content)
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(ValueError, match=message or None):
        read_tensors(tmp_path / "x")


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null"])
def test_a_device_is_no_such_file(device: str) -> None:
    with pytest.raises(ValueError):
        read_tensors(Path(device))


def test_tensors_and_metadata_come_as_written(tmp_path: Path) -> None:
    kinds = (torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.bool)
    tensors = {str(kind): torch.ones(2, 3).to(kind) for kind in kinds}
    content = save(tensors, metadata={"note": "x"})
    (tmp_path / "x").write_bytes(content)
    found, metadata = read_tensors(tmp_path / "x")
    assert metadata == {"note": "x"}
    assert found.keys() == tensors.keys() == parse_tensors(content).keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())
