"""What stages are expected to take, by what similar ones took."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.cluster.estimates import RUN_FOLDER, Estimates
from pipeline.cluster.graph import Stage


def stage(words: str) -> Stage:
    return Stage(words, f"python -m pipeline.{words}", (), (), "changed")


TRAIN = "train --setting base_to_new --method fedmvp --seed 1"


@pytest.fixture
def estimates(tmp_path: Path) -> Estimates:
    made = Estimates.load(tmp_path)
    for words, seconds, memory in (
        (TRAIN, 100.0, 2.0),
        (TRAIN.replace("base_to_new", "msst"), 60.0, 1.0),
        (TRAIN.replace("fedmvp", "promptfl"), 10.0, None),
        ("evaluate --setting base_to_new --method fedmvp --seed 1", 5.0, 0.5),
    ):
        made.record(stage(words).command, seconds, memory)
    return Estimates.load(tmp_path)


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        (TRAIN, 100),
        (TRAIN.replace("seed 1", "seed 2"), 100),
        (TRAIN.replace("base_to_new", "cross_dataset"), 80),
        (TRAIN.replace("fedmvp", "promptfl").replace("seed 1", "seed 3"), 10),
        # Another method in a setting that was seen: the same stage, as many options.
        (TRAIN.replace("fedmvp", "fedtpg"), 55),
        ("evaluate --setting msst --method promptfl --seed 9", 5),
        ("report", None),
    ],
)
def test_the_most_similar_stages_say_it(
    estimates: Estimates, words: str, seconds: float | None
) -> None:
    assert estimates.seconds([stage(words)]) == {words: seconds}


def test_memory_is_that_of_stages_that_said_it(estimates: Estimates) -> None:
    assert estimates.memory_gib(stage(TRAIN)) == 2.0
    assert estimates.memory_gib(stage(TRAIN.replace("fedmvp", "promptfl"))) == 2.0
    assert estimates.memory_gib(stage("report")) is None


@pytest.mark.parametrize("content", ["", "{", '{"stages": {"x": {"seconds": -1}}}', "[]"])
def test_a_damaged_record_says_nothing(tmp_path: Path, content: str) -> None:
    path = tmp_path / RUN_FOLDER / "stages.json"
    path.parent.mkdir(parents=True)
    path.write_text(content, encoding="utf-8")
    assert Estimates.load(tmp_path).measured == {}
