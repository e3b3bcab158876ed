"""Made-up results of images of many labels, in the true layout, drawn from a fixed seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fedmvp.csv_files import write_csv
from fedmvp.data.manifest import Manifest
from fedmvp.evaluation.many_labels import target_row
from fedmvp.evaluation.metrics import metrics_of
from fedmvp.files import write_json
from fedmvp.multilabel_config import MultiLabelParams
from fedmvp.partition.model import Partition
from fedmvp.partition.partition_files import save_partition
from fedmvp.report import Subject, build
from fedmvp.results.scores import TargetScores, write_scores
from fedmvp.results.targets import BEST_ON_TEST_COLUMNS, MULTI_TARGET_COLUMNS
from tests.multi_toys import SEEN
from tests.unit.report.synthetic import draw_image

METHODS = {"zero_shot": 0.5, "fedmvp": 2.0}
THRESHOLD = 0.35
SUBJECT = Subject("scenes", "FedMVP on toys", "scenes", "pictoclip")


def write(
    root: Path,
    partition: Partition,
    manifest: Manifest,
    params: MultiLabelParams = MultiLabelParams(),  # noqa: B008  frozen
    seeds: tuple[int, ...] = (1, 2),
    setting: str = "scenes",
    **more: Any,
) -> None:
    """Write ``root/results`` and ``root/partitions``; scores follow labels by the method's gain."""
    save_partition(partition, root / f"partitions/{setting}.json")
    for method, gain in METHODS.items():
        for seed in seeds:
            found = [scores(t, manifest, gain, f"{method}{seed}") for t in partition.targets]
            folder = root / "results" / setting / method / f"seed{seed}"
            rows = [
                target_row(part, THRESHOLD, np.isin(part.target.classes, SEEN), params)
                for part in found
            ]
            more_columns = BEST_ON_TEST_COLUMNS if params.best_on_test else ()
            write_csv(folder / "targets.csv", (*MULTI_TARGET_COLUMNS, *more_columns), rows)
            write_json(folder / "metrics.json", metrics_of("multilabel", rows))
            write_scores(folder / "scores.safetensors", found)
            record = {
                "fingerprint": f"{seed:064x}",
                "setting": setting,
                "method": method,
                "seed": seed,
                "inputs": {},
                "params": {"multilabel": params.model_dump(mode="json"), **more},
            }
            write_json(folder / "run.json", record)
            if method == "fedmvp":
                write_json(folder / "explain.json", {"images": explained(partition, manifest)})


def scores(target: Any, manifest: Manifest, gain: float, key: str) -> TargetScores:
    labels = manifest.label_matrix(target.images, target.classes)
    draw = np.random.default_rng([len(target.images), *key.encode()])
    noise = draw.normal(size=labels.shape)
    return TargetScores(target, (gain * (labels == 1) - 1 + noise).astype(np.float32), labels)


def explained(partition: Partition, manifest: Manifest) -> list[dict[str, Any]]:
    """Return an image of each target that is no client's."""
    images = []
    for target in (t for t in partition.targets if t.group != "local"):
        (labels,) = manifest.label_matrix(target.images[:1], target.classes)
        shown = [n for n, y in zip(target.classes, labels, strict=True) if y == 1]
        images.append(
            {
                "id": target.images[0],
                "dataset": target.dataset,
                "class": "; ".join(shown) or "nothing",
                "predicted": "nothing",
                "grid": [1, 2],
                "attributes": [{"class": target.classes[0], "text": "red", "weights": [0.2, 0.8]}],
            }
        )
    return images


def report(
    root: Path, manifest: Manifest, subject: Subject = SUBJECT, setting: str = "scenes"
) -> str:
    """Build the report of ``root`` and return its page."""
    build(
        root / "results",
        root / "partitions",
        root / "report",
        subject,
        settings=[setting],
        methods=list(METHODS),
        load_image=draw_image,
        manifests={manifest.dataset: manifest},
    )
    return (root / "report/index.html").read_text(encoding="utf-8")
