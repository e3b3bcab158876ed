"""docs/results.md says what the results say, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.results_page import page
from benchmarks.tuning import Tuning, best_rate, inner_partition
from fedmvp.config import load_params
from fedmvp.files import read_csv
from fedmvp.report import build
from fedmvp.report.format import percent
from fedmvp.report.study import Subject, load_study
from fedmvp.settings.partition import Client, Partition, Target
from tests.paths import ROOT
from tests.unit.report.synthetic import World

TUNING = Tuning((0.01, 0.1), 100, 6, {"fedmvp": {0.01: 0.5, 0.1: 0.4}})


@pytest.mark.parametrize("gain", [0.1, -0.1])
def test_page_tells_wins_and_losses_from_the_results(tmp_path: Path, gain: float) -> None:
    world = World(
        settings=("base_to_new", "msst"), trained=("promptfl", "fedmvp"), gain=gain, rounds=2
    )
    results, partitions = world.write(tmp_path)
    subject = Subject("baselines")
    study = load_study(results, partitions, subject, settings=world.settings,
                       methods=world.methods, seeds=world.seeds)  # fmt: skip
    text = page(study, load_params(ROOT / "params.yaml"), None, "1 minute on one core")
    assert "made them in 1 minute on one core" in text and "No learning rate was chosen" in text
    build(results, partitions, tmp_path / "report", subject, methods=world.methods)
    for row in read_csv(tmp_path / "report/tables/summary.csv"):
        assert f"{percent(float(row['mean']))} ± {percent(float(row['std']))}" in text
    plain = study.scores["base_to_new"].table["zero_shot"]["hm"].mean
    losing = study.scores["base_to_new"].primary("fedmvp").mean < plain
    line = next(x for x in text.splitlines() if x.startswith("* Base to new, HM:"))
    assert losing == (gain < 0) == ("Zero-shot +" in line)
    assert "FedMVP against PromptFL: " in text
    assert "seed 100 alone" in page(study, load_params(ROOT / "params.yaml"), TUNING, "a minute")


def test_tuning_sees_training_images_alone() -> None:
    names = tuple("abcde")
    train = tuple(f"{name}{i}" for name in names for i in range(3))
    client = Client("toys-000", "main", "toys", None, names, train)
    target = Target("toys", "main", "base", "toys", None, names, ("test",))
    partition = Partition("base_to_new", "base_to_new", "by_image", (client,), (target,))
    inner = inner_partition(
        partition, lambda dataset, ids, classes: [classes.index(image[0]) for image in ids]
    )
    assert inner.clients[0].classes == ("a", "c", "e")
    assert inner.clients[0].train == ("a0", "a1", "c0", "c1", "e0", "e1")
    found = {target.group: (target.classes, target.images) for target in inner.targets}
    assert found == {
        "local": (("a", "c", "e"), ("a2", "c2", "e2")),
        "base": (("a", "c", "e"), ("a2", "c2", "e2")),
        "new": (("b", "d"), ("b0", "b1", "b2", "d0", "d1", "d2")),
    }


def test_best_rate_passes_over_what_diverged() -> None:
    assert best_rate({0.1: None, 0.01: 0.4, 0.03: 0.4}) == 0.01
    assert best_rate({0.1: None}) is None
