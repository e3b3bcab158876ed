"""A finished federation among the pipeline's results."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from fedmvp.errors import ConfigError
from fedmvp.federation.flare.importing import import_results
from fedmvp.federation.flare.layout import Organiser
from fedmvp.federation.flare.outcome import is_whole, write_results
from fedmvp.federation.plan import Plan, load_plan, save_plan
from fedmvp.federation.rounds import FederationResult
from fedmvp.federation.site_evaluation import SiteCounts
from fedmvp.results.learned import read_learned
from fedmvp.results.record import read_metrics, read_record
from fedmvp.results.rounds import read_failures, read_rounds
from fedmvp.results.targets import read_targets
from fedmvp.tracking.projection import project

ROW = {
    "round": 0,
    "client": "north",
    "phase": "all",
    "images": 9,
    "loss": 1.5,
    "learning_rate": 0.1,
    "bytes_up": 8,
    "bytes_down": 8,
}
FAILURE = {"client": "south", "round_index": 0, "error": "ClientFailure: late", "trace": ""}
COUNTS = {"known": {"right": [3], "total": [4]}, "new": {"right": [1], "total": [2]}}


@pytest.fixture
def organiser(federation_folder: Path, tmp_path: Path) -> Organiser:
    folder = tmp_path / "fed"
    shutil.copytree(federation_folder, folder)
    return Organiser(folder)


def finish(organiser: Organiser, counts: dict[str, Any] = COUNTS) -> Plan:
    plan = load_plan(organiser.plan)
    tensors = {"context": torch.ones(4, 128)}
    result = FederationResult(tensors, [ROW], [FAILURE], {})
    sites = {"north": counts} if counts else {}
    write_results(organiser, plan, result, SiteCounts(groups=counts, sites=sites))
    return plan


def test_an_imported_federation_is_a_run_like_any_other(
    organiser: Organiser, tmp_path: Path
) -> None:
    plan = finish(organiser)
    key = import_results(organiser, plan, tmp_path / "results")
    folder = key.folder(tmp_path / "results")
    assert str(key) == "federation_fedmvp/promptfl/seed1"
    assert read_record(folder / "run.json").key == key
    assert read_metrics(folder / "metrics.json") == {"known": 0.75, "new": 0.5}
    (row,) = read_rounds(folder / "rounds.csv")
    assert (row.client, row.loss, row.accuracy) == ("north", 1.5, None)
    assert read_failures(folder / "failures.json")[0].client == "south"
    assert {(score.dataset, score.group) for score in read_targets(folder / "targets.csv")} == {
        ("north", "known"),
        ("north", "new"),
    }
    learned = read_learned(folder)
    assert learned.method == "promptfl"
    assert torch.equal(learned.tensors["context"], torch.ones(4, 128))
    tags = project(folder).tags
    assert tags["engine"] == "flare"
    assert "dvc.stage" not in tags
    before = {path: path.read_bytes() for path in folder.iterdir()}
    import_results(organiser, plan, tmp_path / "results")
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_what_is_not_finished_or_says_nothing_is_not_imported(
    organiser: Organiser, tmp_path: Path
) -> None:
    plan = load_plan(organiser.plan)
    assert not is_whole(organiser, plan)
    with pytest.raises(ConfigError, match="not finished"):
        import_results(organiser, plan, tmp_path / "results")
    finish(organiser, {})
    assert is_whole(organiser, plan)
    with pytest.raises(ConfigError, match="no site sent counts"):
        import_results(organiser, plan, tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_another_federation_of_this_name_is_not_written_over(
    organiser: Organiser, tmp_path: Path
) -> None:
    import_results(organiser, finish(organiser), tmp_path / "results")
    plan = load_plan(organiser.plan)
    save_plan(organiser.plan, plan.model_copy(update={"forwards_updates": True}))
    with pytest.raises(ConfigError, match="another federation of this name"):
        import_results(organiser, finish(organiser), tmp_path / "results")


def test_results_of_another_plan_are_not_whole(organiser: Organiser) -> None:
    plan = finish(organiser)
    assert not is_whole(organiser, plan.model_copy(update={"seed": 2}))
    (organiser.results / "run.json").write_text(json.dumps({}), encoding="utf-8")
    assert not is_whole(organiser, plan)
