"""Made-up results in the true layout of data/partitions/ and results/, drawn from a fixed seed."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from fedmvp.csv_files import write_csv
from fedmvp.files import write_bytes, write_json
from tests.unit.report.synthetic_files import explained, metrics_of, training_rows

ROUND_COLUMNS = (
    "fold",
    "round",
    "client",
    "phase",
    "images",
    "loss",
    "loss_ce",
    "loss_con",
    "accuracy",
    "learning_rate",
    "bytes_up",
    "bytes_down",
)
TARGET_COLUMNS = ("fold", "group", "name", "dataset", "domain", "classes", "images", "accuracy")
PREDICTION_COLUMNS = ("fold", "group", "name", "dataset", "image", "label", "predicted")
PER_CLASS = 3
STYLES = ("twemoji", "noto", "openmoji")
DATASETS = {"animals": 78, "food": 64, "objects": 128, "travel": 109, "activities": 42}
BASELINES = (
    "promptfl",
    "fedkgcoop",
    "fedcocoop",
    "fedvpt",
    "fedmaple",
    "fedvlp",
    "fedtpg",
    "fedclip",
    "fedotp",
)


@dataclass(frozen=True)
class World:
    """What to make up; `gain` moves the trained methods, so that FedMVP may win or lose.

    Without `predictions` results are as they were before evaluation wrote predictions.csv.
    """

    settings: Sequence[str] = ("base_to_new", "cross_dataset", "msst", "ssmt")
    zero_shot: Sequence[str] = ("zero_shot", "zero_shot_attributes")
    trained: Sequence[str] = ("fedmvp",)
    seeds: Sequence[int] = (1, 2, 3)
    rounds: int = 12
    gain: float = 0.03
    class_name: str = "red panda"
    attributes: Sequence[str] = (
        "long ringed tail",
        "white markings on the face",
        "reddish brown fur",
        "rounded ears",
        "black legs",
    )
    datasets: dict[str, int] = field(default_factory=lambda: dict(DATASETS))
    failures: Sequence[dict[str, Any]] = ()
    predictions: bool = True

    @property
    def methods(self) -> tuple[str, ...]:
        return (*self.zero_shot, *self.trained)

    def write(self, root: Path) -> tuple[Path, Path]:
        """Write ``root/results`` and ``root/partitions`` and return both."""
        for setting in self.settings:
            partition = _partition(self, setting)
            write_json(root / "partitions" / f"{setting}.json", partition)
            for method in self.methods:
                for seed in self.seeds:
                    folder = root / "results" / setting / method / f"seed{seed}"
                    _write_run(self, folder, partition, setting, method, seed)
        return root / "results", root / "partitions"


def draw_image(dataset: str, image_id: str) -> Image.Image:
    """Return a little face: something to lay attention over."""
    generator = random.Random(f"{dataset}/{image_id}")
    image = Image.new("RGB", (96, 96), "white")
    pen = ImageDraw.Draw(image)
    hue = [generator.randrange(60, 240) for _ in range(3)]
    pen.polygon([(14, 10), (40, 24), (20, 44)], fill=(120, 70, 40))
    pen.polygon([(82, 10), (56, 24), (76, 44)], fill=(120, 70, 40))
    pen.ellipse([12, 16, 84, 88], fill=tuple(hue))
    pen.ellipse([30, 40, 40, 52], fill="black")
    pen.ellipse([56, 40, 66, 52], fill="black")
    pen.arc([32, 48, 64, 76], 20, 160, fill="black", width=4)
    return image


def _partition(world: World, setting: str) -> dict[str, Any]:
    clients: list[dict[str, Any]] = []
    targets: list[dict[str, Any]] = []
    if setting == "base_to_new":
        for dataset, classes in world.datasets.items():
            count = max(1, round(classes / 20))
            for number in range(count):
                size = 20 if number < count - 1 else classes - 20 * (count - 1)
                name = f"{dataset}-{number:02d}"
                clients.append(_client(world, name, "main", dataset, None, size))
                targets.append(_target(name, "main", "local", dataset, None, size, 20 * number))
            targets.append(_target(dataset, "main", "base", dataset, None, classes))
            targets.append(_target(dataset, "main", "new", dataset, None, classes, classes))
    elif setting.startswith("cross_dataset"):
        source, *others = world.datasets
        clients = [_client(world, f"{source}-{n:02d}", "main", source, None, 20) for n in range(8)]
        targets = [
            _target(name, "main", "target", name, None, 2 * world.datasets[name]) for name in others
        ]
        targets.append(_target(source, "main", "source", source, None, 2 * world.datasets[source]))
    else:
        single = setting.startswith("ssmt")
        for fold in STYLES:
            sources = [fold] if single else [style for style in STYLES if style != fold]
            held_out = [style for style in STYLES if style != fold] if single else [fold]
            for dataset in ("animals", "food"):
                clients += [
                    _client(world, f"{fold}.{dataset}-{style}-000", fold, dataset, style, 40)
                    for style in sources
                ]
                targets += [
                    _target(
                        f"{fold}-to-{style}" if single else style,
                        fold,
                        "target",
                        dataset,
                        style,
                        156,
                    )
                    for style in held_out
                ]
    protocol = "base_to_new" if setting == "base_to_new" else "transfer"
    split = "by_image" if protocol == "base_to_new" else "by_domain"
    return {
        "setting": setting,
        "protocol": protocol,
        "split": split,
        "official": [],
        "clients": clients,
        "targets": targets,
    }


def _client(
    world: World, name: str, fold: str, dataset: str, domain: str | None, classes: int
) -> dict[str, Any]:
    return {
        "id": name,
        "fold": fold,
        "dataset": dataset,
        "domain": domain,
        "classes": [f"{world.class_name} {name} {n}" for n in range(classes)],
        "train": [f"{dataset}/{name}/{n}" for n in range(8 * classes)],
    }


def _target(
    name: str, fold: str, group: str, dataset: str, domain: str | None, count: int, first: int = 0
) -> dict[str, Any]:
    """Return a target of `count` classes; an image of a class is the same in every target."""
    classes = [f"{dataset} class {first + n}" for n in range(count)]
    images = [
        f"{dataset}/{domain or 'test'}/{label}/{n}" for label in classes for n in range(PER_CLASS)
    ]
    return {
        "name": name,
        "fold": fold,
        "group": group,
        "dataset": dataset,
        "domain": domain,
        "classes": classes,
        "images": images,
    }


def _write_run(
    world: World, folder: Path, partition: dict[str, Any], setting: str, method: str, seed: int
) -> None:
    trained = method in world.trained
    # Zero-shot draws nothing: its seeds are copies.
    draw = random.Random(f"{setting}/{method}/{seed if trained else 0}")
    targets = partition["targets"]
    answers = [
        _answers(target, _score(world, target, method, draw), method, seed if trained else 0)
        for target in targets
    ]
    scores = [
        sum(label == predicted for label, predicted in zip(_labels(target), found, strict=True))
        / len(found)
        for target, found in zip(targets, answers, strict=True)
    ]
    rows = [
        {
            **target,
            "classes": len(target["classes"]),
            "images": len(target["images"]),
            "domain": target["domain"] or "",
            "accuracy": repr(score),
        }
        for target, score in zip(targets, scores, strict=True)
    ]
    write_csv(folder / "targets.csv", TARGET_COLUMNS, rows)
    if world.predictions:
        write_csv(folder / "predictions.csv", PREDICTION_COLUMNS, _predictions(targets, answers))
    write_json(folder / "metrics.json", metrics_of(partition, scores))
    write_json(
        folder / "run.json",
        {
            "fingerprint": f"{seed:064x}",
            "setting": setting,
            "method": method,
            "seed": seed,
            "inputs": {},
            "params": {
                "backbone": {"name": "pictoclip"},
                "seed": seed,
                "methods": {method: {"alpha": 10.0}},
                "federation": {"rounds": world.rounds, "learning_rate": 0.003} if trained else {},
            },
        },
    )
    if trained:
        write_csv(
            folder / "rounds.csv",
            ROUND_COLUMNS,
            training_rows(partition, method, world.rounds, draw),
        )
        write_json(folder / "failures.json", list(world.failures))
        write_bytes(folder / "weights.safetensors", b"the report never opens it")
        images = explained(world.class_name, world.attributes, draw) if method == "fedmvp" else []
        write_json(folder / "explain.json", {"images": images})


def _labels(target: dict[str, Any]) -> list[str]:
    return [label for label in target["classes"] for _ in range(PER_CLASS)]


def _answers(target: dict[str, Any], score: float, method: str, seed: int) -> list[str]:
    """Return the predicted classes: the easiest images are recognised, as many as `score` says.

    What is easy is mostly the image's own, a little the method's and the seed's.
    """
    names, labels = target["classes"], _labels(target)
    own = random.Random(f"{method}/{seed}/{target['fold']}/{target['name']}/{target['group']}")
    hard = [random.Random(image).random() + 0.3 * own.random() for image in target["images"]]
    order = sorted(range(len(hard)), key=lambda number: hard[number])
    right = set(order[: round(score * len(hard))])
    return [
        label if number in right else names[(names.index(label) + 1) % len(names)]
        for number, label in enumerate(labels)
    ]


def _predictions(
    targets: Sequence[dict[str, Any]], answers: Sequence[Sequence[str]]
) -> Iterator[dict[str, str]]:
    for target, predicted in zip(targets, answers, strict=True):
        own = {key: target[key] for key in PREDICTION_COLUMNS[:4]}
        for row in zip(target["images"], _labels(target), predicted, strict=True):
            yield own | dict(zip(PREDICTION_COLUMNS[4:], row, strict=True))


def _score(world: World, target: dict[str, Any], method: str, draw: random.Random) -> float:
    place = random.Random(f"{target['name']}/{target['group']}").uniform(-0.06, 0.06)
    level = 0.42 - 0.06 * math.log10(len(target["classes"])) + place
    method_gain = random.Random(method).uniform(-0.02, 0.02)
    if method in world.trained:
        method_gain += world.gain * (0.3 if target["group"] == "new" else 1.0)
        method_gain += 0.4 * world.gain if method == "fedmvp" else 0.0
        method_gain += draw.gauss(0, 0.004)
    return min(max(level + method_gain, 0.0), 1.0)
