"""The stages write personal.json: of trained methods, of zero-shot ones, and nothing when off."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from fedmvp.results.learned import read_learned
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
    assert {key: tuned[key] for key in plain} == plain
    assert "fine_tuned" in read("fedotp")
    tuned = tuned["fine_tuned"]
    assert (tuned["choices"]["model"], tuned["choices"]["fine_tune_epochs"]) == ("fine_tuned", 2)
    assert read("promptfl", "metrics.json") == metrics  # the settings' metrics stay as they were
    shared = [row for row in tuned["matrix"] if row["model"] == "global"]
    assert shared == [row for row in plain["matrix"] if row["model"] == "global"]
    run(world, "evaluate small promptfl 1")
    assert read("promptfl")["fine_tuned"] == tuned
    world.params(evaluation__fine_tuned=["fedotp"])
    run(world, "evaluate small promptfl 1", "evaluate small fedotp 1")
    assert read("promptfl") == plain
    assert "fine_tuned" in read("fedotp")


@pytest.mark.parametrize("method", ["promptfl", "fedotp"])
def test_the_mean_of_the_last_rounds(world: World, method: str) -> None:
    """Tensors of earlier rounds change neither the others nor what is reported of the last."""
    world.params(
        partition__scheme=DIRICHLET,
        partition__candidates="all",
        federation__rounds=3,
        evaluation__personal=True,
        run__trained=["promptfl", "fedotp"],
    )
    stages = (f"train small {method} 1", f"evaluate small {method} 1")
    run(world, "partition small", *stages)
    plain, weights = read(method), load_file(f"results/small/{method}/seed1/weights.safetensors")
    assert "kept_rounds" not in read(method, "run.json")["params"]["federation"]
    world.params(federation__kept_rounds=3)
    run(world, *stages)
    more = load_file(f"results/small/{method}/seed1/weights.safetensors")
    assert all(torch.equal(tensor, more[name]) for name, tensor in weights.items())
    assert {name.split("/")[0] for name in more.keys() - weights.keys()} == {"round@0", "round@1"}
    assert read_learned(Path(f"results/small/{method}/seed1")).tensors.keys() == {
        name.removeprefix("main/") for name in weights if "@" not in name
    }
    found = read(method)
    stable = found.pop("stability")
    assert found == plain
    assert (stable["rounds"], set(stable["numbers"])) == (3, {"global", "personal"})
    # The last round, three times over, has the last round's mean.
    same = {f"round@{i}/{name}": t.clone() for i in (0, 1) for name, t in weights.items()}
    save_file({**weights, **same}, f"results/small/{method}/seed1/weights.safetensors")
    run(world, stages[1])
    for name, value in read(method)["stability"]["numbers"].items():
        assert value == pytest.approx(plain["numbers"][name])


def test_off_it_is_empty(world: World) -> None:
    run(world, "evaluate small fedmvp 1", "zero_shot small zero_shot")
    assert read("fedmvp") == {}
    assert not Path("results/small/zero_shot/seed1/personal.json").exists()
