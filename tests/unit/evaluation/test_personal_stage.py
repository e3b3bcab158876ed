"""The stages write personal.json: of trained methods, of zero-shot ones, and nothing when off."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.unit.bad_input.world import ENVIRONMENT, World, build

pytestmark = pytest.mark.usefixtures("words")
DIRICHLET = {"name": "dirichlet", "alpha": 1, "clients": 2, "min_images": 1}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = build(tmp_path)
    monkeypatch.chdir(made.root)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    return made


def read(method: str, name: str = "personal.json") -> Any:
    return json.loads(Path(f"results/small/{method}/seed1/{name}").read_text(encoding="utf-8"))


def run(world: World, *stages: str) -> None:
    for stage in stages:
        outcome = world.run(*stage.split())
        assert outcome.code == 0, outcome.err


def test_a_federation_from_scheme_to_personal_numbers(world: World) -> None:
    world.params(
        partition__scheme=DIRICHLET,
        partition__candidates="all",
        federation__participation=0.5,
        evaluation__personal=True,
        evaluation__candidates="all",
        run__trained=["promptfl", "fedotp"],
    )
    run(
        world,
        "partition small",
        "zero_shot small zero_shot",
        "train small promptfl 1",
        "evaluate small promptfl 1",
        "train small fedotp 1",
        "evaluate small fedotp 1",
    )
    plain, own, without = read("promptfl"), read("fedotp"), read("zero_shot")
    assert plain["choices"] == {
        "model": "aggregated",
        "fine_tune_epochs": 0,
        "candidates": "all",
        "round": "last",
        "images": "dirichlet: alpha 1.0, clients 2, self balancing False, min images 1, tries 10",
        "client_mean": "unweighted",
    }
    assert plain["numbers"]["global"] == plain["numbers"]["personal"]
    assert own["choices"]["model"] == "aggregated_and_own"
    assert without["choices"]["model"] == "untrained"
    assert (plain["clients"]["all"], plain["clients"]["never_selected"]) == (2, 1)
    assert without["clients"]["never_selected"] == 0
    assert {row["model"] for row in own["matrix"]} == {"global", "toys-000", "toys-001"}
    metrics = read("promptfl", "metrics.json")
    assert not {"global", "personal"} & set(metrics)
    world.params(evaluation__fine_tune_epochs=2)
    run(world, "evaluate small promptfl 1", "evaluate small fedotp 1")
    tuned = read("promptfl")
    assert (tuned["choices"]["model"], tuned["choices"]["fine_tune_epochs"]) == ("fine_tuned", 2)
    assert read("promptfl", "metrics.json") == metrics  # the settings' metrics stay as they were
    shared = [row for row in tuned["matrix"] if row["model"] == "global"]
    assert shared == [row for row in plain["matrix"] if row["model"] == "global"]
    run(world, "evaluate small promptfl 1")
    assert read("promptfl") == tuned


def test_off_it_is_empty(world: World) -> None:
    run(world, "evaluate small fedmvp 1", "zero_shot small zero_shot")
    assert read("fedmvp") == {}
    assert not Path("results/small/zero_shot/seed1/personal.json").exists()
