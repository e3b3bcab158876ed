"""`fedmvp bench`: what it measures and how it counts, never how fast anything is."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from typer.testing import CliRunner

from fedmvp.catalog.counts import Counts
from fedmvp.catalog.spec import load_spec
from fedmvp.cli import app
from fedmvp.clip.backbone import Backbone
from fedmvp.config import load_params
from fedmvp.data.build import build_manifest
from fedmvp.errors import ConfigError
from fedmvp.partition.build import build_partition
from fedmvp.partition.folds import datasets_of
from fedmvp.partition.model import Client, Partition, Target
from fedmvp.partition.setting_spec import load_setting
from fedmvp.profiling.bench import Question, _scene, answer
from fedmvp.profiling.estimate import Work, estimate_seconds, work_of
from fedmvp.profiling.inputs import RandomTexts
from fedmvp.profiling.planned_partitions import planned_manifest, planned_partitions
from fedmvp.profiling.roofline import forward_flop
from fedmvp.profiling.workloads import FORWARD, GRADIENT, method_parts
from tests.paths import ROOT
from tests.random_clip import backbone_spec

CPU = torch.device("cpu")


def test_every_part_is_measured_and_compared_with_its_floor() -> None:
    question = Question(3, 2, 4, "fp32", 1, naive=True, device=CPU)
    result = answer(backbone_spec("tiny"), question, None)
    rows = {row["part"]: row for row in result["parts"]}
    assert list(rows) == [
        FORWARD,
        GRADIENT,
        "training step",
        "evaluation step",
        "zero-shot step",
        "text encoding",
        "naive training step",
        "naive evaluation step",
        "image loading",
        "matrix product",
    ]
    assert rows[FORWARD]["ratio"] == rows[GRADIENT]["ratio"] == 1
    step = rows["training step"]
    assert step["ratio"] == pytest.approx(step["seconds"] / rows[GRADIENT]["seconds"])
    assert step["per_second"] == pytest.approx(4 / step["seconds"])
    texts = rows["text encoding"]
    assert texts["per_second"] == pytest.approx(6 / texts["seconds"])
    product = rows["matrix product"]
    assert product["per_second"] == pytest.approx(1 / product["seconds"])
    rate = 2 * 2048**3 / product["seconds"]
    assert result["product_gflop_per_second"] == pytest.approx(rate / 1e9)
    flop = 4 * forward_flop(backbone_spec("tiny"))
    assert result["share_of_product"] == pytest.approx(
        {
            FORWARD: flop / rows[FORWARD]["seconds"] / rate,
            GRADIENT: 2 * flop / rows[GRADIENT]["seconds"] / rate,
        }
    )
    assert result["repro_seconds"] is None and "params.yaml" in result["repro_note"]


@pytest.mark.slow  # torch's counter imports its compiler
@pytest.mark.parametrize("shape", ["tiny", "picto"])
def test_operations_are_those_torch_counts(backbone: Callable[..., Backbone], shape: str) -> None:
    """Of all blocks; torch counts the projection besides."""
    from torch.utils.flop_counter import FlopCounterMode

    tower, size = copy.copy(backbone(shape).vision), backbone(shape).spec.vision.image_size
    tower.cls_only = False
    embedded = tower.embed(torch.zeros(1, 3, size, size))
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        tower(embedded)
    projection = 2 * tower.proj.numel()
    assert forward_flop(backbone_spec(shape)) == counter.get_total_flops() - projection


def test_images_of_many_labels_are_planned_too() -> None:
    """All of VOC at eight clients; unseen classes are shown in the test alone."""
    params = load_params(ROOT / "fedmvp/profiles/scenes-paper.yaml")
    few = params.run.model_copy(update={"settings": ("voc2007",)})
    made = planned_partitions(params.model_copy(update={"run": few}))["voc2007"]
    kept = [len(c.train) + len(c.validation) for c in made.clients]
    assert made.task == "multi" and len(kept) == 8 and sum(kept) == 5011
    assert [len(t.images) for t in made.targets if t.group == "global"] == [4952]
    planned = planned_manifest(load_spec("scenes"), 4)
    unseen = {planned.classes.index(name) for name in planned.unseen}
    shown = {
        s: {k for i in planned.images if i.split == s for k in i.labels} for s in ("train", "test")
    }
    assert not unseen & shown["train"] and unseen < shown["test"]
    assert all(len(image.labels) == 2 for image in planned.images)


def test_a_profile_is_planned_by_the_catalog_alone() -> None:
    params = load_params(ROOT / "fedmvp/profiles/paper.yaml")
    counts = {name: load_spec(name).counts for name in ("imagenet", "pacs", "caltech101")}
    few = params.run.model_copy(update={"settings": ("cross_dataset", "ssmt_pacs")})
    made = planned_partitions(params.model_copy(update={"run": few}))
    clients = [len(client.train) for client in made["cross_dataset"].clients]
    assert clients == [8 * 20] * 50
    tested = {t.dataset: len(t.images) for t in made["cross_dataset"].targets}
    assert tested["imagenet"] == counts["imagenet"].test
    assert tested["caltech101"] == counts["caltech101"].test
    by_domain = {t.domain: len(t.images) for t in made["ssmt_pacs"].targets}
    assert by_domain == {
        name: size - round(0.5 * size) - round(0.2 * size)
        for name, size in counts["pacs"].domains.items()
    }
    nothing = load_spec("pacs").model_copy(update={"counts": Counts()})
    with pytest.raises(ConfigError, match="catalog entry pacs"):
        planned_manifest(nothing, 8)


@pytest.mark.parametrize("part", ["training step", "evaluation step"])
def test_only_the_naive_way_encodes_texts_in_a_step(
    part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attributes and the sentences, once each; what a step before encoded is not kept."""
    question = Question(3, 2, 2, "fp32", 1, naive=True, device=CPU)
    encoded: list[str] = []
    encode = RandomTexts._encoded

    def counted(texts: RandomTexts, kind: str) -> Tensor:
        encoded.append(kind)
        return encode(texts, kind)

    monkeypatch.setattr(RandomTexts, "_encoded", counted)
    for naive, expected in ((True, ["attributes", "sentences"]), (False, [])):
        step = method_parts(_scene(backbone_spec("tiny"), question, naive=naive))[part]
        step()
        encoded.clear()
        step()
        assert encoded == expected


def test_the_estimate_adds_up() -> None:
    work = Work(1000.0, 100, 500, tensor_stages=3, plain_stages=2, runs=1)
    per_image = {"training": 0.01, "frozen": 0.002, "evaluation": 0.004}
    found = estimate_seconds(work, per_image, {"tensor_stages": 2.0, "plain_stages": 0.5})
    assert found == {
        "training": 10.0,
        "frozen features": 0.2,
        "evaluation": 2.0,
        "process start-up": 7.0,
        "total": pytest.approx(19.2),
    }


def test_the_plan_of_the_default_profile_is_close_to_its_partitions() -> None:
    """Its entries count images, but not those of each style."""
    params = load_params(ROOT / "params.yaml")
    part, real = params.partition, {}
    manifests = {name: build_manifest(load_spec(name), 1) for name in params.data.datasets}
    for name in params.run.settings:
        setting = load_setting(params.run.suite, name)
        chosen = {dataset: manifests[dataset] for dataset in datasets_of(setting, manifests)}
        real[name] = build_partition(
            name,
            setting,
            chosen,
            classes_per_client=part.classes_per_client,
            shots=part.shots,
            seed=part.seed,
        )
    planned, found = work_of(params, planned_partitions(params)), work_of(params, real)
    assert planned.trained_images == pytest.approx(found.trained_images, rel=0.1)
    assert planned.evaluated_images == pytest.approx(found.evaluated_images, rel=0.1)
    assert planned.frozen_images == pytest.approx(found.frozen_images, rel=0.1)


def test_work_is_counted_from_the_partitions() -> None:
    """Two settings that test the same image, three seeds, half of the clients a round."""
    names = ("x", "y")
    clients = tuple(Client(c, "main", "food", None, names, ("1", "2", "3")) for c in "ab")
    targets = (Target("food", "main", "target", "food", None, names, ("8", "9")),)
    partition = Partition("any", "cross_dataset", "by_image", clients, targets)
    params = load_params(ROOT / "params.yaml")
    run = params.run.model_copy(
        update={
            "settings": ("one", "two"),
            "trained": ("fedmvp",),
            "zero_shot": ("zero_shot",),
            "seeds": (1, 2, 3),
        }
    )
    federation = params.federation.model_copy(update={"rounds": 4, "participation": 0.5})
    data = params.data.model_copy(update={"datasets": ("food", "animals")})
    changed = params.model_copy(update={"run": run, "federation": federation, "data": data})
    work = work_of(changed, {"one": partition, "two": partition})
    assert work.trained_images == 3 * (4 * 0.5) * 2 * 6
    assert work.frozen_images == 2 * 2 * 6 + 2
    assert work.evaluated_images == 3 * 2 * 2
    assert work.tensor_stages == 1 + 2 * 6 + 2  # backbone; train, evaluate; zero_shot
    assert work.plain_stages == 4 + 2 + 3  # download, attributes; partition; code, report, track


@pytest.mark.minutes
@pytest.mark.slow
def test_the_command_projects_a_profile_with_nothing_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("fedmvp.devices.prepare_device", lambda *_, **__: CPU)  # else permanently
    few = ["--backbone", "pictoclip", "--classes", "2", "--batch", "2", "--repetitions", "1"]
    result = CliRunner().invoke(app, ["bench", *few, "--profile", "paper-mini"])
    assert result.exit_code == 0, result.output
    assert "`dvc repro` for profile paper-mini" in result.output
    params = load_params(ROOT / "fedmvp/profiles/paper-mini.yaml")
    work = work_of(params, planned_partitions(params))
    assert f"{work.trained_images:,.0f} images in training steps" in result.output
    monkeypatch.setattr("fedmvp.profiling.bench.planned_partitions", lambda params: {})
    result = CliRunner().invoke(app, ["bench", *few, "--profile", "paper"])
    assert re.search(r"pictoclip on cpu \(\d+ threads?, bf16, matmul\)", result.output)
    result = CliRunner().invoke(app, ["bench", "--profile", "papers"])
    assert result.exit_code == 2 and "use one of: default" in result.output


def test_the_command_refuses_what_it_cannot_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["bench", "--precision", "fp8"])
    assert result.exit_code == 2 and "use fp32, bf16 or fp16" in result.output
