"""docs/results.md says what the results say, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.results_page import page
from benchmarks.tuning import RATES, TRIALS, Tuning, best_trial, inner_partition, trials_of
from fedmvp.config import load_params
from fedmvp.csv_files import read_csv
from fedmvp.methods.build import method_params
from fedmvp.partition.model import Client, Partition, Target
from fedmvp.report import build
from fedmvp.report.format import percent
from fedmvp.report.study import Subject, load_study
from tests.paths import ROOT
from tests.unit.report.synthetic import World

TUNING = Tuning(2, 100, 6, {"fedmvp": {"learning_rate 0.01": 0.5, "learning_rate 0.1": None}})


@pytest.mark.parametrize("gain", [0.1, -0.1])
def test_page_tells_wins_and_losses_from_the_results(tmp_path: Path, gain: float) -> None:
    world = World(
        settings=("base_to_new", "msst"), trained=("promptfl", "fedmvp"), gain=gain, rounds=2
    )
    results, partitions = world.write(tmp_path)
    subject = Subject("baselines")
    study = load_study(
        results,
        partitions,
        subject,
        settings=world.settings,
        methods=world.methods,
        seeds=world.seeds,
    )
    text = page(study, load_params(ROOT / "params.yaml"), None, "1 minute on one core")
    assert "made them in 1 minute on one core" in text and "Nothing was chosen" in text
    build(results, partitions, tmp_path / "report", subject, methods=world.methods)
    for row in read_csv(tmp_path / "report/tables/summary.csv"):
        assert f"{percent(float(row['mean']))} ± {percent(float(row['std']))}" in text
    plain = study.scores["base_to_new"].table["zero_shot"]["hm"].mean
    losing = study.scores["base_to_new"].primary("fedmvp").mean < plain
    line = next(x for x in text.splitlines() if x.startswith("* Base to new, HM:"))
    assert losing == (gain < 0) == ("Zero-shot +" in line)
    assert "FedMVP against PromptFL: " in text
    tuned = page(study, load_params(ROOT / "params.yaml"), TUNING, "a minute")
    assert "2 trials a method on seed 100 alone" in tuned
    assert "| FedMVP | 1 of 2 | learning_rate 0.01 | 50.00 |" in tuned


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


def test_the_best_trial_passes_over_what_diverged() -> None:
    assert best_trial({"a": None, "b": 0.4, "c": 0.4, "d": 0.3}) == "b"
    assert best_trial({"a": None}) is None


def test_every_method_has_the_same_budget() -> None:
    """Each trial is a valid section, and names what is not the profile's."""
    params = load_params(ROOT / "fedmvp/profiles/baselines.yaml")
    assert set(TRIALS) <= set(params.run.trained)
    for method in params.run.trained:
        trials = trials_of(method)
        assert len(trials) == len(RATES)
        for trial in trials:
            section = {**params.methods[method], **trial}
            section["federation"] = {"learning_rate": section.pop("learning_rate")}
            method_params(method, section)
