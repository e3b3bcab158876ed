"""`fedmvp bench`: what it measures and how it counts, never how fast anything is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fedmvp.bench.estimate import Work, estimate_seconds
from fedmvp.bench.parts import FORWARD, GRADIENT, method_parts
from fedmvp.bench.run import Question, answer
from fedmvp.bench.scene import build_scene
from fedmvp.clip.backbone import Backbone
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


def test_the_command_refuses_what_it_cannot_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from fedmvp.cli import app

    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["bench", "--precision", "fp8"])
    assert result.exit_code == 2 and "fp8" in result.output
