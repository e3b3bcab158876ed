"""The file of a sweep and the rules that choose trials."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from fedmvp.errors import ConfigError
from pipeline.cluster.request import Request
from pipeline.cluster.sweep.search import open_search
from pipeline.cluster.sweep.spec import Sweep, changed_params, load_sweep
from pipeline.cluster.sweep.trial import trial_name
from tests.paths import ROOT
from tests.unit.docs.blocks import sample

PARAMS = ROOT / "params.yaml"
PROMPTS, RATE = "methods.fedmvp.n_prompts", "methods.fedmvp.federation.learning_rate"
GRID: dict[str, Any] = {
    "name": "prompts",
    "params": {PROMPTS: [2, 4], RATE: [0.001, 0.01]},
    "metric": "base_to_new.fedmvp.hm",
}
RANGE = {"low": 0.0001, "high": 0.1, "log": True}


def write(tmp_path: Path, value: object) -> Path:
    path = tmp_path / "sweep.yaml"
    path.write_text(yaml.safe_dump(value, sort_keys=False), encoding="utf-8")
    return path


def test_a_grid_is_every_combination(tmp_path: Path) -> None:
    search = open_search(load_sweep(write(tmp_path, GRID), PARAMS))
    assert [tuple(trial.values()) for trial in search.propose(1)] == [
        (2, 0.001),
        (2, 0.01),
        (4, 0.001),
        (4, 0.01),
    ]
    assert search.propose(1) == []


def test_the_how_to_shows_a_sweep_that_can_be_run(tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(sample("docs/howto/sweep.md"), encoding="utf-8")
    assert load_sweep(path, PARAMS).size == 4


def test_random_trials_are_distinct_and_drawn_again_alike(tmp_path: Path) -> None:
    value = {**GRID, "search": "random", "trials": 20, "params": {PROMPTS: [2, 4], RATE: RANGE}}
    sweep = load_sweep(write(tmp_path, value), PARAMS)
    trials = open_search(sweep).propose(2)
    assert trials == open_search(sweep).propose(2)
    assert len({str(trial) for trial in trials}) == 20
    rates = [trial[RATE] for trial in trials]
    assert all(0.0001 <= rate <= 0.1 for rate in rates)
    assert 4 < sum(rate < 0.00316 for rate in rates) < 16  # the middle, by orders of magnitude
    assert trials != open_search(sweep.model_copy(update={"seed": 2})).propose(2)


def test_a_draw_reaches_both_bounds_of_whole_numbers() -> None:
    few: dict[str, Any] = {"params": {PROMPTS: {"low": 1, "high": 3}}, "trials": 9}
    sweep = Sweep.model_validate({**GRID, **few, "search": "random"})
    # There are three.
    assert sorted(trial[PROMPTS] for trial in open_search(sweep).propose(1)) == [1, 2, 3]


def test_optuna_learns_from_what_it_is_told() -> None:
    pytest.importorskip("optuna", reason="the extra `sweep` is not installed")
    params = {PROMPTS: [1, 2, 4, 8], RATE: RANGE}
    sweep = Sweep.model_validate({**GRID, "params": params, "search": "optuna", "trials": 60})
    search, scores = open_search(sweep), []
    while batch := search.propose(4):
        assert len(batch) == 4
        for trial in batch:
            scores.append(-abs(trial[PROMPTS] - 4) - 10 * trial[RATE])
            search.tell(trial, None if len(scores) == 1 else scores[-1])  # one has failed
    assert len(scores) == 60
    assert sum(scores[-20:]) > sum(scores[:20])


def test_optuna_that_is_not_installed_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "optuna", None)
    sweep = Sweep.model_validate({**GRID, "search": "optuna", "trials": 2})
    with pytest.raises(ConfigError, match=r"Optuna is not installed.*extra `sweep`"):
        open_search(sweep)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "Two Words"}, ("name", "'Two Words'")),
        ({"params": {}}, ("params",)),
        ({"params": {PROMPTS: []}}, (PROMPTS, "has no values")),
        ({"params": {PROMPTS: [{"a": 1}]}}, (PROMPTS, "is a section")),
        ({"params": {PROMPTS: RANGE}}, (PROMPTS, "a grid needs a list")),
        ({"params": {"method.fedmvp.rank": [1]}}, ("no such section", "methods")),
        ({"params": {"methods.fedmpv.rank": [1]}}, ("no such section", "methods.fedmvp")),
        ({"params": {"methods.fedmvp.rnak": [1]}}, ("methods.fedmvp.rnak", "unknown key")),
        ({"params": {"federation.rate": [1]}}, ("federation.rate", "unknown key")),
        ({"params": {PROMPTS: [2, -1]}}, (f"{PROMPTS} -1",)),
        ({"params": {PROMPTS: ["many"]}}, (f'{PROMPTS} "many"',)),
        (
            {"params": {"federation.rounds": list(range(40)), PROMPTS: list(range(40))}},
            ("1600 combinations",),
        ),
        ({"trials": 3}, ("leave trials out",)),
        ({"search": "random"}, ("needs a number of trials",)),
        ({"search": "bayes"}, ("search", "'bayes'")),
        ({"search": "random", "trials": 0}, ("trials", "0")),
        ({"goal": "best"}, ("goal", "'best'")),
        ({"metrics": "x"}, ("metrics", "unknown key")),
        (
            {"search": "random", "trials": 2, "params": {RATE: {"low": 1, "high": 1}}},
            ("low has to be below high",),
        ),
        (
            {"search": "random", "trials": 2, "params": {RATE: {"low": 0, "high": 1, "log": True}}},
            ("low has to be above 0",),
        ),
        (
            {"search": "random", "trials": 2, "params": {PROMPTS: {"low": -2, "high": 4}}},
            (f"{PROMPTS} -2",),
        ),
    ],
)
def test_what_cannot_be_run_is_an_error(
    tmp_path: Path, change: dict[str, Any], words: tuple[str, ...]
) -> None:
    path = write(tmp_path, {**GRID, **change})
    with pytest.raises(ConfigError) as caught:
        load_sweep(path, PARAMS)
    message = str(caught.value)
    assert all(word in message for word in (str(path), *words)), message
    assert "\n" not in message


def test_a_file_that_is_none_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not a mapping"):
        load_sweep(write(tmp_path, ["a"]), PARAMS)
    with pytest.raises(ConfigError, match=r"no\.yaml"):
        load_sweep(tmp_path / "no.yaml", PARAMS)


@pytest.mark.parametrize("option", [{"address": "auto"}, {"targets": ["train"]}])
def test_options_that_a_sweep_cannot_have(option: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="leave it out with --sweep"):
        Request(sweep="sweep.yaml", **option)


def test_a_name_stands_for_all_of_params_yaml_and_for_the_checkout() -> None:
    base = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
    one = changed_params(base, {PROMPTS: 2}, PARAMS)
    assert base != one
    assert base["methods"]["fedmvp"]["n_prompts"] != 2
    names = {
        trial_name("a", one, "state"),
        trial_name("a", one, "another state"),
        trial_name("a", changed_params(base, {PROMPTS: 3}, PARAMS), "state"),
        trial_name("a", changed_params(one, {RATE: 0.5}, PARAMS), "state"),
    }
    assert len(names) == 4
    assert trial_name("a", changed_params(base, {PROMPTS: 2}, PARAMS), "state") in names
