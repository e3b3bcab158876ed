"""An imported federation in the user's hands: MLflow, predict, export, a logged model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import fedmvp
from fedmvp.cli import app
from fedmvp.clip.backbone import load_backbone
from fedmvp.errors import ConfigError
from fedmvp.federation.flare.layout import Organiser
from fedmvp.federation.flare.outcome import write_results
from fedmvp.federation.plan import load_plan
from fedmvp.federation.rounds import FederationResult
from fedmvp.federation.site_evaluation import SiteCounts
from tests.paths import ROOT

pytestmark = pytest.mark.slow

RESULT = "results/federation_fedmvp/promptfl/seed1"


@pytest.fixture(scope="module")
def place(federation_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with params.yaml, an imported federation and an image, as its working folder."""
    root = tmp_path_factory.mktemp("user")
    shutil.copytree(federation_folder, root / "fed")
    shutil.copy(ROOT / "fedmvp/profiles/default.yaml", root / "params.yaml")
    organiser = Organiser(root / "fed")
    plan = load_plan(organiser.plan)
    backbone = load_backbone(
        organiser.backbone, precision="fp32", linear="matmul", device=torch.device("cpu")
    )
    tensors = {name: t.detach().clone() for name, t in plan.create(backbone).tensors().items()}
    rows = [
        {"round": n, "client": "north", "phase": "all", "images": 9, "loss": 2.0 - n}
        for n in range(2)
    ]
    rows = [{**row, "learning_rate": 0.1, "bytes_up": 8, "bytes_down": 8} for row in rows]
    groups = {"known": {"right": [3], "total": [4]}}
    counts = SiteCounts(groups=groups, sites={"north": groups})
    write_results(organiser, plan, FederationResult(tensors, rows, [], {}), counts)
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(root / "image.png")
    (root / "classes.txt").write_text("ant\nwhale\n", encoding="utf-8")
    return root


def command(*words: str) -> str:
    result = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def inside(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(place)
    if not Path(RESULT).exists():
        assert RESULT in command("federation", "import", "fed")
    return place


def test_mlflow_has_a_run_of_engine_flare(inside: Path) -> None:
    from mlflow import MlflowClient

    store = f"sqlite:///{inside}/store.db"
    assert "1 created" in command("track", "sync", "--store", store)
    assert "1 unchanged" in command("track", "sync", "--store", store)
    client = MlflowClient(store)
    (run,) = client.search_runs([each.experiment_id for each in client.search_experiments()])
    assert run.data.tags["engine"] == "flare"
    assert run.data.params["sites"] == '["north", "south", "far-east"]'
    assert run.data.metrics["known"] == 0.75
    assert [m.value for m in client.get_metric_history(run.info.run_id, "train/loss")] == [2.0, 1.0]


def test_predict_and_an_export_say_the_same(inside: Path) -> None:
    options = ("--weights", RESULT, "--classes", "classes.txt", "--json")
    (told,) = json.loads(command("predict", "image.png", *options))
    assert set(told["probabilities"]) == {"ant", "whale"}
    command("export", RESULT, "model")
    card = Path("model/README.md").read_text(encoding="utf-8")
    assert "Sites trained it on images and classes of their own" in card
    assert "| known | 75.0 |" in card
    model = fedmvp.load("model")
    found = model.classify("image.png", classes=["ant", "whale"])
    assert dict(found.top(2)[0]) == pytest.approx(told["probabilities"], rel=1e-5)
    with pytest.raises(ConfigError, match="classes"):
        model.classify("image.png")


def test_an_export_knows_no_dataset(inside: Path) -> None:
    result = CliRunner().invoke(app, ["export", RESULT, "other", "--dataset", "animals"])
    assert result.exit_code == 2
    assert "a federation of sites has no dataset" in result.output
    assert not Path("other").exists()


def test_another_backbone_than_the_federations_is_refused(inside: Path) -> None:
    path = Path(RESULT) / "run.json"
    before = path.read_text(encoding="utf-8")
    record = json.loads(before)
    record["inputs"]["data/backbone/spec.json"] = "0" * 64
    path.write_text(json.dumps(record), encoding="utf-8")
    result = CliRunner().invoke(app, ["export", RESULT, "other"])
    path.write_text(before, encoding="utf-8")
    assert result.exit_code == 2
    assert "is not the federation's CLIP model" in result.output


def test_a_model_is_logged_to_its_run(inside: Path) -> None:
    import mlflow

    store = f"sqlite:///{inside}/models.db"
    command("track", "sync", "--store", store)
    uri = command("track", "model", RESULT, "--store", store).strip()
    mlflow.set_tracking_uri(store)
    assert mlflow.models.get_model_info(uri).flavors["python_function"]
