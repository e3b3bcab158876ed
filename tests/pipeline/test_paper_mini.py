"""The paper's whole pipeline on miniatures: 20 datasets in their true layouts, every setting."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from fedmvp.config import Params, load_params
from tests.pipeline.miniature import all_partitions, reproduce
from tests.pipeline.tiny import dvc

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]

PROFILE = "paper-mini"
# One of each kind; the domain settings of one dataset stand for those of five.
SOME = ("base_to_new", "cross_dataset", "imagenet_variants", "msst_pacs", "ssmt_pacs")


@pytest.fixture(scope="module", params=[SOME, pytest.param(None, marks=pytest.mark.minutes)])
def done(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy with the miniatures, after `dvc repro` of some settings of the profile, or of all."""
    root = tmp_path_factory.mktemp("paper") / "mini"
    reproduce(root, PROFILE, request.param)
    return root


@pytest.fixture
def params(done: Path) -> Params:
    return load_params(done / "params.yaml")


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_every_setting_is_evaluated_with_every_method(done: Path, params: Params) -> None:
    for setting in params.run.settings:
        for method in (*params.run.zero_shot, *params.run.trained):
            metrics = read(done / f"results/{setting}/{method}/seed1/metrics.json")
            assert ("hm" if setting == "base_to_new" else "mean") in metrics
            assert all(0 <= value <= 1 for value in metrics.values())
            # The fold of the paper's public code has a mean of its own.
            assert ("mean/official" in metrics) == setting.startswith(("msst", "ssmt"))
    assert read_status(done) == {}


def read_status(root: Path) -> Any:
    return json.loads(dvc(root, "status", "--json").stdout)


def test_clients_are_the_papers(done: Path, tmp_path: Path) -> None:
    partitions = all_partitions(done, PROFILE, tmp_path)
    clients = {name: len(partition["clients"]) for name, partition in partitions.items()}
    for path in (done / "data/partitions").glob("*.json"):
        assert read(path) == partitions[path.stem]
    # docs/method.md#class-blocks; folds times domains times clients per domain for domain settings.
    assert clients == {
        "base_to_new": 30,
        "cross_dataset": 50,
        "imagenet_variants": 50,
        "msst_pacs": 4 * 3,
        "msst_officehome": 4 * 3 * 3,
        "msst_vlcs": 4 * 3,
        "msst_terraincognita": 4 * 3,
        "msst_domainnet": 6 * 5 * 17,
        "ssmt_pacs": 4,
        "ssmt_officehome": 4 * 3,
        "ssmt_vlcs": 4,
        "ssmt_terraincognita": 4,
        "ssmt_domainnet": 6 * 17,
    }


def test_imagenet_stays_out_of_the_means(done: Path) -> None:
    for setting, targets in (("cross_dataset", 10), ("imagenet_variants", 4)):
        metrics = read(done / f"results/{setting}/fedmvp/seed1/metrics.json")
        scores = [v for k, v in metrics.items() if k not in ("mean", "imagenet")]
        assert len(scores) == targets
        assert metrics["mean"] == pytest.approx(sum(scores) / targets)


def test_published_numbers_of_another_backbone_are_not_shown(done: Path) -> None:
    page = (done / "report/index.html").read_text(encoding="utf-8")
    assert "FedMVP on miniatures" in page
    rows = list(csv.DictReader((done / "report/tables/published.csv").open(encoding="utf-8")))
    assert rows == []
