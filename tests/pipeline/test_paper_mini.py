"""The paper's whole pipeline on miniatures: 20 datasets in their true layouts, every setting."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from fedmvp.config import Params, load_params
from tests.miniatures import build_miniatures
from tests.paths import ROOT
from tests.pipeline.tiny import copy_repository, dvc, forked_repro

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]

PROFILE = ROOT / "fedmvp/profiles/paper-mini.yaml"


@pytest.fixture(scope="module")
def params() -> Params:
    return load_params(PROFILE)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy with the miniatures, after `dvc repro` of the paper-mini profile."""
    root = tmp_path_factory.mktemp("paper") / "mini"
    copy_repository(root)
    build_miniatures(root)
    (root / "params.yaml").write_bytes(PROFILE.read_bytes())
    run = forked_repro(root)
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    return root


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


def test_clients_are_the_papers(done: Path) -> None:
    clients = {
        path.stem: len(read(path)["clients"]) for path in (done / "data/partitions").glob("*.json")
    }
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
