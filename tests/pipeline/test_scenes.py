"""The profile `scenes` from download to report, with a tiny random CLIP and few images."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from benchmarks.results_page import study_of
from benchmarks.scenes_page import page
from fedmvp.config import load_params
from fedmvp.csv_files import read_csv
from fedmvp.report.format import percent, points
from fedmvp.results.scores import VALIDATION, read_scores
from tests.pipeline.tiny import copy_repository, dvc, forked_repro

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]

RUN = "results/sites/fedmvp/seed1"


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of the profile, reproduced."""
    root = tmp_path_factory.mktemp("scenes")
    copy_repository(root, "data")
    params = yaml.safe_load((root / "fedmvp/profiles/scenes.yaml").read_text(encoding="utf-8"))
    params["run"] |= {"seeds": [1], "zero_shot": ["zero_shot"]}
    params["federation"] |= {"rounds": 2, "participation": 0.3}
    params["partition"] |= {"shots": 2, "annotations": {"known": 0.8}}
    params["evaluation"] |= {"batch_size": 128, "explain_images": 2}
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    assert dvc(root, "init", "--quiet", "--force").returncode == 0
    done = forked_repro(root)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return root


def test_results_are_whole(scenes: Path) -> None:
    metrics = json.loads((scenes / RUN / "metrics.json").read_text(encoding="utf-8"))
    assert metrics.keys() >= {
        "map",
        "prevalence",
        "map_local",
        "map_zsl",
        "map_gzsl",
        "h",
        "of1_val",
    }
    rows = read_csv(scenes / RUN / "targets.csv")
    assert {row["group"] for row in rows} == {"global", "local", "zsl", "gzsl"}
    parts = read_scores(scenes / RUN / "scores.safetensors")
    assert sum(part.target.group != VALIDATION for part in parts) == len(rows)
    assert any((part.labels == -1).any() for part in parts if part.target.group == VALIDATION)
    record = json.loads((scenes / RUN / "run.json").read_text(encoding="utf-8"))
    assert record["params"]["multilabel"]["head"] == "tiles"
    rounds = read_csv(scenes / RUN / "rounds.csv")
    assert {row["accuracy"] for row in rounds} == {""} and all(float(r["of1"]) >= 0 for r in rounds)


def test_the_report_shows_prevalence_beside_map(scenes: Path) -> None:
    page = (scenes / "report/index.html").read_text(encoding="utf-8")
    assert all(text in page for text in ("mAP", "Prevalence", "ZSL mAP", "OF1", "FedMVP"))
    metrics = json.loads((scenes / "report/metrics.json").read_text(encoding="utf-8"))
    assert metrics["sites"]["zero_shot"].keys() >= {"map", "prevalence"}
    explained = json.loads((scenes / RUN / "explain.json").read_text(encoding="utf-8"))["images"]
    assert explained and explained[0]["grid"] == [8, 8]


def test_the_results_page_reads_the_results(scenes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its numbers are those of metrics.json, and its differences those of the numbers."""
    monkeypatch.chdir(scenes)
    params = load_params()
    text = page(study_of(params), params, "a minute")
    ours, plain = (
        json.loads((scenes / f"results/sites/{name}/seed1/metrics.json").read_text("utf-8"))
        for name in ("fedmvp", "zero_shot")
    )
    (row,) = (x for x in text.splitlines() if x.startswith("| 1 | FedMVP") or "| 2 | FedMVP" in x)
    assert f"| {percent(ours['map'])} | {percent(ours['prevalence'])} |" in row
    assert f"| Zero-shot | 1 | {points(ours['map'] - plain['map'])} [" in text
    assert "cameras of severity 0.6" in text


def test_nothing_is_left_to_do(scenes: Path) -> None:
    assert "up to date" in dvc(scenes, "status").stdout
