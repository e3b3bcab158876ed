"""What a bystander reads from checkpoints is what rounds.csv will say."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fedmvp.csv_files import write_csv
from fedmvp.results.rounds import failure_of, read_rounds
from fedmvp.tracking.finished import FinishedRounds
from fedmvp.tracking.projection import series
from tests.unit.tracking.samples import ROUND_COLUMNS, rounds
from tests.unit.tracking.training import failure, save_rounds


def test_all_points_of_the_result_are_told_once(tmp_path: Path) -> None:
    watched = FinishedRounds(tmp_path, ["animals", "objects"])
    assert watched.new() == []
    told = []
    for fold in ("animals", "objects"):
        for done in (1, 3):
            save_rounds(tmp_path, fold, done, failures=[failure(round_index=0)])
            told += watched.new()
            assert watched.new() == []
    rows = [row for fold in ("animals", "objects") for row in rounds(1, fold)]
    write_csv(tmp_path / "rounds.csv", ROUND_COLUMNS, rows)
    failures = [failure_of(fold, failure(round_index=0)) for fold in ("animals", "objects")]
    whole = series(read_rounds(tmp_path / "rounds.csv"), failures)
    wanted = [(key, step, value) for key, curve in whole.items() for step, value in curve.items()]
    assert sorted(told) == sorted(wanted)
    assert ("train/failures", 0, 2.0) in told


def test_a_mean_over_folds_waits_for_the_last(tmp_path: Path) -> None:
    watched = FinishedRounds(tmp_path, ["animals", "objects"])
    save_rounds(tmp_path, "animals", 3)
    assert {key.rsplit("/", 1)[-1] for key, _, _ in watched.new()} == {"animals"}
    save_rounds(tmp_path, "objects", 1)
    assert {step for key, step, _ in watched.new() if key == "train/loss"} == {0}


def test_after_trouble_all_is_told_again(tmp_path: Path) -> None:
    watched = FinishedRounds(tmp_path, ["animals"])
    save_rounds(tmp_path, "animals", 2)
    first = watched.new()
    watched.again()
    assert watched.new() == first != []


@pytest.mark.parametrize("content", [b"", b"no checkpoint at all", b"\xff" * 100])
def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "animals").mkdir()
    (tmp_path / "animals/round-000009-0123456789abcdef.safetensors").write_bytes(content)
    assert FinishedRounds(tmp_path, ["animals"]).new() == []


def test_the_model_is_not_read(tmp_path: Path) -> None:
    """Its tensors may be of a kind numpy does not know."""
    tensors = {"a": torch.zeros(2, dtype=torch.bfloat16)}
    save_rounds(tmp_path, "animals", 1, tensors=tensors)
    assert FinishedRounds(tmp_path, ["animals"]).new()
