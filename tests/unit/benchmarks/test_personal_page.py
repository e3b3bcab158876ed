"""The page of personal results says what they say; its rates are chosen on training images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.personal_page import page
from benchmarks.personal_tuning import RATES, RECORD, halved
from benchmarks.rates import read_rates, tuning_table
from benchmarks.tuning import best_trial
from fedmvp.config import load_params
from fedmvp.files import write_json
from fedmvp.partition.model import Client, Partition, Target
from fedmvp.partition.setting_spec import load_setting
from fedmvp.report.study import Subject, load_study
from tests.paths import ROOT
from tests.unit.report.synthetic import World

PROFILE = ROOT / "fedmvp/profiles/personal.yaml"


def record(model: str, personal: float, new: float) -> dict[str, Any]:
    fairness = {"std": 0.1, "worst": 0.2, "best": 0.9, "minimum": 0.2, "maximum": 0.9}
    return {
        "choices": {
            "model": model,
            "fine_tune_epochs": 4 if model == "fine_tuned" else 0,
            "images": "iid: clients 2",
            "candidates": "all",
            "client_mean": "unweighted",
            "round": "last",
        },
        "clients": {"all": 2, "without_test_images": 0, "never_selected": 0},
        "numbers": {"global": 0.5, "personal": personal, "personal_new": new},
        "fairness": {"global": fairness, "personal": fairness},
        "matrix": [],
    }


def text_of(tmp_path: Path, own: float, new: float) -> str:
    """Return the page where FedOTP's clients score `own`, and `new` on new classes."""
    world = World(
        settings=("base_to_new",),
        zero_shot=("zero_shot",),
        trained=("promptfl", "fedotp", "fedmvp"),
        seeds=(1, 2),
        rounds=2,
    )
    results, partitions = world.write(tmp_path)
    found = {
        "zero_shot": record("untrained", 0.4, 0.3),
        "promptfl": {
            **record("aggregated", 0.5, 0.31),
            "fine_tuned": record("fine_tuned", 0.6, 0.2),
        },
        "fedotp": record("aggregated_and_own", own, new),
        "fedmvp": record("aggregated", 0.55, 0.35),
    }
    for method, personal in found.items():
        for seed in (1, 2):
            write_json(results / f"base_to_new/{method}/seed{seed}/personal.json", personal)
    study = load_study(
        results,
        partitions,
        Subject("personal"),
        settings=world.settings,
        methods=world.methods,
        seeds=world.seeds,
    )
    return page(study, load_params(PROFILE), {}, "a minute")


def test_who_is_ahead_and_what_it_costs(tmp_path: Path) -> None:
    text = text_of(tmp_path, own=0.7, new=0.1)
    assert "in a minute" in text and "Nothing was chosen" in text
    assert "ahead FedOTP +10.00; behind nobody" in text
    assert "lower FedOTP −20.00, PromptFL, fine-tuned −10.00; not lower nobody" in text
    assert (
        "* FedMVP: place 3 of 5 on own images (−5.00 against fine-tuned PromptFL), place 1" in text
    )
    rows = [line.split(" | ")[0] for line in text.splitlines() if line.startswith("| ")]
    assert rows[2:] == [
        "| FedOTP",
        "| PromptFL, fine-tuned",
        "| FedMVP",
        "| PromptFL",
        "| Zero-shot",
    ]


def test_the_same_sentences_the_other_way_round(tmp_path: Path) -> None:
    text = text_of(tmp_path, own=0.2, new=0.4)
    assert "ahead nobody; behind FedOTP −40.00" in text
    assert "not lower FedOTP +10.00" in text
    assert "* FedMVP: place 2 of 5" in text and "place 2 on new classes" in text


def test_rates_are_scored_on_training_images() -> None:
    train = ("a0", "b0", "a1", "b1", "a2", "c0")
    client = Client("toys-000", "main", "toys", None, ("a", "b", "c"), train)
    alone = Client("toys-001", "main", "toys", None, ("a", "b", "c"), ("c1",))
    test = Target("toys", "main", "base", "toys", None, ("a", "b", "c"), ("test",))
    partition = Partition(
        "skew", "base_to_new", "by_image", (client, alone), (test,), shared_classes=True
    )
    inner = halved(partition, lambda _, ids, names: [names.index(image[0]) for image in ids])
    assert [one.train for one in inner.clients] == [("a0", "a2", "b0", "c0"), ("c1",)]
    (target,) = inner.targets
    assert (target.name, target.images) == ("toys-000", ("a1", "b1"))


def test_a_rate_that_diverged_wins_nothing() -> None:
    rows = tuning_table({"promptfl": {"0.003": 0.25, "0.03": 0.5, "0.3": None}})
    assert rows == [["PromptFL", "25.00", "50.00", "diverged", "0.03"]]


def test_the_profile_has_every_method_but_two_and_the_rates_that_won() -> None:
    params = load_params(PROFILE)
    # One takes as long as all others, one is for many labels alone.
    without = {name for name in params.methods if name.startswith("zero_shot")}
    without |= {"fedcocoop", "fed_dualcoop"}
    assert set(params.run.trained) == set(params.methods) - without
    for name, scores in read_rates(ROOT / RECORD).items():
        assert len(scores) == len(RATES)
        assert f"{params.methods[name]['federation']['learning_rate']:g}" == best_trial(scores)
    for setting in params.run.settings:
        targets = load_setting(params.run.suite, setting).folds[0].targets
        assert ("local", "client") in {(target.group, target.each) for target in targets}


@pytest.mark.parametrize("name", ["default", "baselines", "emoji-clean", "field", "paper"])
def test_other_profiles_keep_their_records(name: str) -> None:
    """What asks for kept rounds stands in their run.json; the others' is as it was."""
    assert load_params(ROOT / f"fedmvp/profiles/{name}.yaml").federation.kept_rounds == 1
