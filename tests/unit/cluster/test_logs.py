"""What is read off a stage's log."""

from __future__ import annotations

from pathlib import Path

from pipeline.cluster.logs import LogView, read_log

HEAD = "base_to_new fedmvp: about 1.5 GiB of memory; 20 MiB of decoded images in .fedmvp/cache\n"


def test_the_last_round_counts(tmp_path: Path) -> None:
    path = tmp_path / "log"
    rounds = "".join(
        f"base_to_new fedmvp seed 1 · all · round {n}/500 · client 3/3 · loss {n / 100:.3f}\n"
        for n in range(1, 400)
    )
    path.write_text(HEAD + rounds + "warning: of something\n", encoding="utf-8")
    assert read_log(path) == LogView(round="399/500", loss="3.990", memory_gib=1.5)


def test_an_error_is_found(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("error: first\nmore\nerror: params.yaml: no\nERROR: failed\n", encoding="utf-8")
    assert read_log(path).error == "params.yaml: no"


def test_a_log_that_is_empty_or_missing_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "log"
    assert read_log(path) == LogView()
    path.write_bytes(b"\xff\xfe")
    assert read_log(path) == LogView()
