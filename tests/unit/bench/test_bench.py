"""`fedmvp bench`: what it measures and how it counts, never how fast anything is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fedmvp.bench.estimate import Work, estimate_seconds, work_of
from fedmvp.bench.parts import FORWARD, GRADIENT, method_parts
from fedmvp.bench.run import Question, answer
from fedmvp.bench.scene import build_scene
from fedmvp.clip.backbone import Backbone
from fedmvp.config import load_params
from fedmvp.settings.partition import Client, Partition, Target
from tests.paths import ROOT
from tests.random_clip import backbone_spec

CPU = torch.device("cpu")


def test_every_part_is_measured_and_compared_with_its_floor() -> None:
    question = Question(3, 2, 4, "fp32", 1, naive=True, device=CPU)
    result = answer(backbone_spec("tiny"), question, None)
    rows = {row["part"]: row for row in result["parts"]}
    assert list(rows) == [
        FORWARD, GRADIENT, "training step", "evaluation step", "zero-shot step", "text encoding",
        "naive training step", "naive evaluation step", "image loading",
    ]  # fmt: skip
    assert rows[FORWARD]["ratio"] == rows[GRADIENT]["ratio"] == 1
    step = rows["training step"]
    assert step["ratio"] == pytest.approx(step["seconds"] / rows[GRADIENT]["seconds"])
    assert step["per_second"] == pytest.approx(4 / step["seconds"])
    texts = rows["text encoding"]
    assert texts["per_second"] == pytest.approx(6 / texts["seconds"])
    assert result["repro_seconds"] is None and "params.yaml" in result["repro_note"]


def test_only_the_naive_way_encodes_texts_in_a_step(
    tiny: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenes = {
        naive: build_scene(tiny, classes=3, attributes=2, batch=2, naive=naive)
        for naive in (True, False)
    }
    monkeypatch.setattr(type(tiny.text), "forward", None)
    method_parts(scenes[False])["evaluation step"]()
    with pytest.raises(TypeError):
        method_parts(scenes[True])["evaluation step"]()


def test_the_estimate_adds_up() -> None:
    work = Work(1000.0, 100, 500, tensor_stages=3, plain_stages=2)
    per_image = {"training": 0.01, "frozen": 0.002, "evaluation": 0.004}
    found = estimate_seconds(work, per_image, {"tensor_stages": 2.0, "plain_stages": 0.5})
    assert found == {
        "training": 10.0, "frozen features": 0.2, "evaluation": 2.0, "process start-up": 7.0,
        "total": pytest.approx(19.2),
    }  # fmt: skip


def test_work_is_counted_from_the_partitions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two settings that test the same image, three seeds, half of the clients a round."""
    names = ("x", "y")
    clients = tuple(Client(c, "main", "food", None, names, ("1", "2", "3")) for c in "ab")
    targets = (Target("food", "main", "target", "food", None, names, ("8", "9")),)
    partition = Partition("any", "cross_dataset", "by_image", clients, targets)
    monkeypatch.setattr("fedmvp.bench.estimate.load_partition", lambda path: partition)
    params = load_params(ROOT / "params.yaml")
    run = params.run.model_copy(update={
        "settings": ("one", "two"), "trained": ("fedmvp",), "zero_shot": ("zero_shot",),
        "seeds": (1, 2, 3),
    })  # fmt: skip
    federation = params.federation.model_copy(update={"rounds": 4, "participation": 0.5})
    data = params.data.model_copy(update={"datasets": ("food", "animals")})
    changed = params.model_copy(update={"run": run, "federation": federation, "data": data})
    work = work_of(changed)
    assert work.trained_images == 3 * (4 * 0.5) * 2 * 6
    assert work.frozen_images == 2 * 2 * 6 + 2
    assert work.evaluated_images == 3 * 2 * 2
    assert work.tensor_stages == 1 + 2 * 6 + 2  # backbone; train, evaluate; zero_shot
    assert work.plain_stages == 4 + 2 + 3  # download, attributes; partition; code, report, track


def test_the_command_refuses_what_it_cannot_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from fedmvp.cli import app

    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["bench", "--precision", "fp8"])
    assert result.exit_code == 2 and "fp8" in result.output
