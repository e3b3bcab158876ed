"""Atomic, byte-reproducible files; strict JSON."""

from __future__ import annotations

import csv
import errno
import os
from pathlib import Path

import pytest

from fedmvp.csv_files import read_csv, write_csv
from fedmvp.errors import DataError
from fedmvp.files import (
    read_json,
    read_limited,
    sha256_bytes,
    sha256_file,
    sha256_json,
    write_bytes,
    write_json,
    write_text,
)


def test_json_is_the_same_on_every_run(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "x.json"
    write_json(path, {"b": [1, 0.1], "a": "é"})
    assert path.read_bytes() == '{\n "a": "é",\n "b": [\n  1,\n  0.1\n ]\n}\n'.encode()
    assert read_json(path) == {"a": "é", "b": [1, 0.1]}
    write_json(path, {"b": 1, "a": 2}, sort_keys=False, indent=None)
    assert path.read_text() == '{"b": 1, "a": 2}\n'


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_has_no_nan(tmp_path: Path, value: float) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "x.json", {"a": value})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not valid JSON"),
        ('{"a": 1, "a": 2}', "duplicate key 'a'"),
        ("NaN", "not JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("\xff", "not valid JSON"),
    ],
    ids=["cut", "twice", "nan", "deep", "bytes"],
)
def test_json_that_is_not_strict_is_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(DataError, match=message) as caught:
        read_json(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_missing_files_say_what_builds_them(tmp_path: Path) -> None:
    for read in (read_json, read_csv):
        with pytest.raises(DataError, match=r"file is missing.*dvc repro"):
            read(tmp_path / "none")


def test_csv_round_trips_numbers(tmp_path: Path) -> None:
    """Floats in shortest form, None as empty, Unix line ends."""
    path = tmp_path / "x.csv"
    write_csv(path, ("a", "b"), [{"a": 0.1 + 0.2, "b": None}, {"a": 1, "b": "x,y"}])
    assert path.read_bytes() == b'a,b\n0.30000000000000004,\n1,"x,y"\n'
    assert read_csv(path)[1] == {"a": "1", "b": "x,y"}


FORMULAS = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\tx", "\rx", "'=1", "''@x"]
HARMLESS = ["a", "'tis", "'", "-0.5", "+1e3", "", "a=b", "naïve 象"]


def test_no_cell_is_a_formula_to_a_spreadsheet(tmp_path: Path) -> None:
    """A mark in front makes it a text; what is read is what was written."""
    path = tmp_path / "x.csv"
    texts = FORMULAS + HARMLESS
    write_csv(path, ("a", "b"), [{"a": text, "b": -1.5} for text in texts])
    with path.open(newline="", encoding="utf-8") as file:
        cells = [row["a"] for row in csv.DictReader(file)]
    assert cells == [f"'{text}" for text in FORMULAS] + HARMLESS
    assert [row["a"] for row in read_csv(path)] == texts
    assert {row["b"] for row in read_csv(path)} == {"-1.5"}


@pytest.mark.parametrize("device", ["/dev/zero", "big"])
def test_reading_has_a_limit(device: str, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(1001))
    with pytest.raises(DataError, match="holds more than"):
        read_limited(tmp_path / device, 1000)
    assert len(read_limited(tmp_path / "big", 1001)) == 1001


def test_writing_is_atomic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure on the way leaves the old file and no other; a full disk is named."""
    path = tmp_path / "x"
    write_text(path, "old")

    def fail(handle: int) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="no space") as caught:
        write_bytes(path, b"new")
    assert caught.value.filename == str(path)
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize("letter", ["n", "象"])
def test_files_are_readable_by_others_and_long_names_work(tmp_path: Path, letter: str) -> None:
    path = tmp_path / (letter * (240 // len(letter.encode())))
    write_bytes(path, b"x")
    assert path.stat().st_mode & 0o777 == 0o644


def test_hashes(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_bytes(b"abc") == sha256_file(path) == known
    assert sha256_json({"a": 1, "b": 2}) == sha256_json({"b": 2, "a": 1})
    assert sha256_json({"a": 1}) != sha256_json({"a": 1.0})


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
def test_json_of_other_systems_is_read(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.json").write_bytes('{"é":\r\n [1]}'.encode(encoding))
    assert read_json(tmp_path / "a.json") == {"é": [1]}


def test_a_file_of_the_users_own_has_a_hint_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="hint: give lists"):
        read_json(tmp_path / "a.json", "give lists")
    (tmp_path / "a.json").write_text("[")
    with pytest.raises(DataError, match="hint: give lists"):
        read_json(tmp_path / "a.json", "give lists")
