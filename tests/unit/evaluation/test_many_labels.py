"""Evaluation of many labels: scores are kept, and scikit-learn alone gives every number again."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, f1_score

from fedmvp.clip.backbone import Backbone
from fedmvp.csv_files import read_csv, write_csv
from fedmvp.data.manifest import Manifest
from fedmvp.errors import DataError
from fedmvp.evaluation.many_labels import evaluate_many
from fedmvp.evaluation.metrics import metrics_of
from fedmvp.evaluation.sanity import check_inputs
from fedmvp.federation.client import load_tensors
from fedmvp.federation.head_start import start_head
from fedmvp.federation.training import train
from fedmvp.methods.base import Method
from fedmvp.methods.build import build_method, method_params
from fedmvp.methods.multilabel_head import MultiLabelHead
from fedmvp.multilabel_config import MultiLabelParams
from fedmvp.partition.model import Partition
from fedmvp.partition_config import AnnotationParams
from fedmvp.results.predictions import write_label_sets
from fedmvp.results.scores import VALIDATION, TargetScores, read_scores, write_scores
from fedmvp.results.targets import MULTI_TARGET_COLUMNS, read_targets
from fedmvp.results.weights import fold_tensors
from tests.multi_toys import SEEN, multi_manifest
from tests.toys import NAMES, ToyBanks, federation, shake, toy_bank
from tests.unit.partition.test_multilabel import build

pytestmark = pytest.mark.usefixtures("words")

PARAMS = MultiLabelParams(head="tiles")
MANIFEST = multi_manifest()


@dataclass(frozen=True)
class Scenes:
    """Stands for `LoadImages`: a stripe and a colour in a quarter for each class shown."""

    manifest: Manifest
    side: int

    def __call__(self, dataset: str, ids: Any, classes: Any) -> tuple[Any, NDArray[np.int8]]:
        pixels = np.full((len(ids), self.side, self.side, 3), 255, dtype=np.uint8)
        half = self.side // 2
        for canvas, name in zip(pixels, ids, strict=True):
            for place, label in enumerate(self.manifest.image(name).labels):
                top, left = half * (place % 2), half * (place // 2)
                colour = 41 * label % 200, 17 * label % 200, 90
                canvas[top : top + half, left : left + half] = colour
                canvas[top + label : top + half : 7, left : left + half] = 255
        return pixels, self.manifest.label_matrix(ids, classes)

    def key(self, dataset: str, ids: Any) -> str:
        return f"{self.side} {list(ids)}"


@dataclass
class World:
    """A method in a setting of the toy scenes."""

    backbone: Backbone
    partition: Partition
    method: Method
    banks: ToyBanks
    images: Scenes

    def evaluate(self, load_fold: Any = lambda fold: None, **changes: Any) -> Any:
        return evaluate_many(
            self.partition,
            self.method,
            load_fold,
            self.banks,  # type: ignore[arg-type]
            self.images,
            self.images,
            replace_params(changes),
            batch_size=5,
        )


def replace_params(changes: dict[str, Any]) -> MultiLabelParams:
    return PARAMS.model_copy(update=changes)


def world(backbone: Backbone, name: str = "zero_shot", **options: Any) -> World:
    partition = build(MANIFEST, validation=0.25, **options)
    method = build_method(name, backbone, method_params(name, {}), 1, PARAMS)
    banks = ToyBanks(backbone, {"toys": toy_bank(backbone)})
    images = Scenes(MANIFEST, 2 * backbone.spec.vision.image_size)
    return World(backbone, partition, method, banks, images)


def started(here: World) -> World:
    start_head(here.method, here.partition.clients, here.banks, here.images)  # type: ignore[arg-type]
    return here


def test_scikit_learn_alone_gives_every_number(tiny: Backbone, tmp_path: Path) -> None:
    here = started(world(tiny))
    rows, scores = here.evaluate()
    write_scores(tmp_path / "scores.safetensors", scores)
    write_csv(tmp_path / "targets.csv", MULTI_TARGET_COLUMNS, rows)
    kept = {part.part: part for part in read_scores(tmp_path / "scores.safetensors")}
    validated = [part for part in kept.values() if part.target.group == VALIDATION]
    assert len(validated) == len(here.partition.clients)
    known = np.concatenate([p.labels for p in validated]).ravel()
    logits = np.concatenate([p.scores for p in validated]).ravel()
    grid = [n / 20 for n in range(1, 20)]
    of1 = [f1_score(known, logits > math.log(t / (1 - t)), zero_division=0) for t in grid]
    best = [t for t, value in zip(grid, of1, strict=True) if value == max(of1)]

    for row in read_csv(tmp_path / "targets.csv"):
        part = kept["/".join([row["fold"], row["group"], row["dataset"], row["name"]])]
        shown = part.labels.any(axis=0)
        ap = [
            average_precision_score(part.labels[:, k], part.scores[:, k])
            for k in np.flatnonzero(shown)
        ]
        assert float(row["map"]) == pytest.approx(np.mean(ap), abs=1e-12)
        assert int(row["scored"]) == shown.sum() and int(row["images"]) == len(part.labels)
        assert float(row["prevalence"]) == pytest.approx(part.labels[:, shown].mean())
        assert float(row["threshold"]) in best
        for end, t in (("", 0.5), ("_val", float(row["threshold"]))):
            said = part.scores > math.log(t / (1 - t))
            expected = f1_score(part.labels, said, average="micro", zero_division=0)
            assert float(row[f"of1{end}"]) == pytest.approx(expected)
        if row["group"] == "gzsl":
            seen = np.array([name in SEEN for name in part.target.classes])[shown]
            parts = np.array(ap)[seen].mean(), np.array(ap)[~seen].mean()
            assert float(row["map_seen"]) == pytest.approx(parts[0])
            assert float(row["h"]) == pytest.approx(2 / (1 / parts[0] + 1 / parts[1]))


def test_metrics_of_the_setting(tiny: Backbone) -> None:
    rows, _ = started(world(tiny)).evaluate()
    metrics = metrics_of("multilabel", rows)
    row = {r["group"]: r for r in rows}
    assert metrics["map"] == metrics["map/toys"] == row["global"]["map"]
    assert (metrics["map_zsl"], metrics["map_gzsl"]) == (row["zsl"]["map"], row["gzsl"]["map"])
    assert metrics["h"] == row["gzsl"]["h"] and "h_gzsl" not in metrics
    local = [r["map"] for r in rows if r["group"] == "local"]
    assert metrics["map_local"] == pytest.approx(np.mean(local))
    assert all(0 <= value <= 1 for value in metrics.values())
    assert list(metrics) == sorted(metrics)
    with pytest.raises(DataError, match="no target of group global"):
        metrics_of("multilabel", [r for r in rows if r["group"] != "global"])


def test_the_head_changes_no_ranking(tiny: Backbone) -> None:
    here = started(world(tiny))
    before, _ = here.evaluate()
    assert isinstance(here.method.head, MultiLabelHead)
    here.method.head.log_scale.data.add_(0.5)
    here.method.head.bias.data.sub_(2.0)
    after, _ = here.evaluate()
    assert [r["map"] for r in before] == pytest.approx([r["map"] for r in after])
    assert [r["of1"] for r in before] != [r["of1"] for r in after]


def test_a_class_nobody_shows(tiny: Backbone) -> None:
    """Left out of the mean and counted; or counted as 0 on request."""
    here = started(world(tiny))
    rows, scores = here.evaluate()
    zero, _ = here.evaluate(empty_class="zero")
    for one, other, part in zip(
        rows, zero, [p for p in scores if p.target.group != VALIDATION], strict=True
    ):
        share = one["scored"] / len(part.target.classes)
        assert other["map"] == pytest.approx(one["map"] * share)


def test_patches_may_attend_to_the_trained_classes_alone(tiny: Backbone) -> None:
    """Only targets with other classes change, and they as the prompts of a seen bank make them."""
    here = started(world(tiny, "fedmvp"))
    shake(here.method)
    rows, scores = here.evaluate()
    head = here.method.head
    assert isinstance(head, MultiLabelHead)
    head.params = head.params.model_copy(update={"bank": "seen"})
    _, seen = here.evaluate()
    same = {p.part: np.array_equal(p.scores, q.scores) for p, q in zip(scores, seen, strict=True)}
    for part, equal in zip(scores, same.values(), strict=True):
        assert equal == (part.target.group not in ("zsl", "gzsl"))
    part = next(p for p in seen if p.target.group == "gzsl")
    pixels, _ = here.images("toys", part.target.images, part.target.classes)
    views = head.views(tiny.normalise(pixels))
    alone = here.banks.select("toys", None, part.target.classes)
    trained = here.banks.select("toys", None, SEEN)
    with torch.no_grad():
        prompted = here.method._prompted(views, trained)  # type: ignore[attr-defined]
        expected = head.pool(here.method._classify(prompted, alone))  # type: ignore[attr-defined]
    assert np.abs(part.scores - expected.numpy()).max() < 1e-4
    assert len(rows) == len([p for p in seen if p.target.group != VALIDATION])


@pytest.mark.parametrize("name", ["promptfl", "fedmvp"])
def test_training_and_evaluation_go_through(tiny: Backbone, name: str, tmp_path: Path) -> None:
    here = world(tiny, name, annotations=AnnotationParams(known=0.7))
    check_inputs(here.partition, {"toys": MANIFEST})

    def run() -> Any:
        return train(
            here.partition,
            lambda: build_method(name, tiny, method_params(name, {}), 1, PARAMS),
            here.banks,  # type: ignore[arg-type]
            here.images,
            federation(rounds=2, learning_rate=0.003),
            seed=1,
        )

    result, again = run(), run()
    assert all(np.array_equal(t, again.tensors[k]) for k, t in result.tensors.items())
    assert {"main/head.bias", "main/head.log_scale"} <= set(result.tensors)
    assert all(0 <= row["of1"] <= 1 for row in result.rows)
    rows, scores = here.evaluate(
        lambda fold: load_tensors(here.method, fold_tensors(here.method, result.tensors, fold))
    )
    # Unknown labels of validation images stay unknown; those of test images are all there.
    unknown = [(p.labels == -1).any() for p in scores if p.target.group == VALIDATION]
    assert all(unknown)
    assert not any((p.labels == -1).any() for p in scores if p.target.group != VALIDATION)
    tested = [p for p in scores if p.target.group != VALIDATION]
    write_label_sets(tmp_path / "p.csv", tested, [row["threshold"] for row in rows])
    write_csv(tmp_path / "t.csv", MULTI_TARGET_COLUMNS, rows)
    found = read_targets(tmp_path / "t.csv")
    assert [t.accuracy for t in found] == [row["map"] for row in rows]
    assert all(t.measures["prevalence"] > 0 for t in found)
    lines = read_csv(tmp_path / "p.csv")
    assert len(lines) == sum(len(p.target.images) for p in tested)
    assert {n for line in lines for n in line["label"].split("; ") if n} <= set(NAMES)


def test_the_prior_is_what_the_bias_says(tiny: Backbone) -> None:
    here = started(world(tiny))
    head = here.method.head
    assert isinstance(head, MultiLabelHead)
    ids = [image for client in here.partition.clients for image in client.train]
    prior = MANIFEST.label_matrix(ids, SEEN).mean()
    # Logits of the clients' own images are centred where the prior is.
    pixels, _ = here.images("toys", ids, SEEN)
    views = head.views(tiny.normalise(pixels))
    logits = head.pool(here.method.logits(views, here.banks.select("toys", None, SEEN)))
    assert float(logits.detach().mean()) == pytest.approx(math.log(prior / (1 - prior)), abs=1e-3)


def test_no_positive_label_is_an_error(tiny: Backbone) -> None:
    here = world(tiny, scheme="one_client", annotations=AnnotationParams(missing=0.5))
    only = here.partition.clients[0]
    blank = tuple("0" * len(only.classes) for _ in only.annotations)
    clients = (replace(only, annotations=blank),)
    with pytest.raises(DataError, match="no positive label"):
        start_head(here.method, clients, here.banks, here.images)  # type: ignore[arg-type]


@pytest.mark.parametrize("damage", ["cut", "shape", "no note"])
def test_damaged_scores_are_refused(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "scores.safetensors"
    target = replace(build(MANIFEST).targets[0], images=("a", "b"), classes=("x", "y", "z"))
    labels = np.zeros((2, 3), dtype=np.int8)
    part = TargetScores(target, np.zeros((2, 3), dtype=np.float32), labels)
    write_scores(path, [part])
    first = path.read_bytes()
    write_scores(path, [part])
    assert path.read_bytes() == first
    if damage == "cut":
        path.write_bytes(first[:-3])
    elif damage == "shape":
        write_scores(path, [replace(part, labels=labels[:1])])
    else:
        path.write_bytes(first.replace(b'"fedmvp"', b'"others"'))
    with pytest.raises(DataError, match="not a file of scores"):
        read_scores(path)
