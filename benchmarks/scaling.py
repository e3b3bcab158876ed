"""How the time of a step grows with classes and attributes, and that of a round with clients.

    python -m benchmarks.scaling steps --backbone pictoclip --batch 32 --out docs/performance
    python -m benchmarks.scaling clients --batch 8 --out docs/performance

writes a CSV and an SVG plot. All figures of a run are taken in one process, interleaved; times of
steps are given as ratios to the bare tower's forward (evaluation) or forward and input gradient
(training) on the same images, by processor time on a CPU.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from fedmvp.cli.methods import backbone_spec
from fedmvp.clip.backbone import Backbone
from fedmvp.csv_files import write_csv
from fedmvp.devices import prepare_device
from fedmvp.federation.backend import InProcessBackend
from fedmvp.federation.client import ClientData
from fedmvp.federation.rounds import run_federation
from fedmvp.files import write_text
from fedmvp.methods.fedmvp import FedMVP, FedMVPParams
from fedmvp.profiling.inputs import build_scene, random_backbone
from fedmvp.profiling.timing import Cost, measure
from fedmvp.profiling.workloads import FEDERATION, FORWARD, GRADIENT, method_parts, tower_parts
from fedmvp.report.svg import Line, line_chart
from fedmvp.shortcuts import Shortcuts

_FLOORS = {"training": GRADIENT, "evaluation": FORWARD}
_SIZES = tuple[tuple[int, int], ...]


def backbone_of(name: str, device: torch.device) -> Backbone:
    return random_backbone(
        backbone_spec(name), precision="fp32", device=device, shortcuts=Shortcuts.from_environment()
    )


def steps(
    backbone: Backbone, batch: int, sizes: _SIZES, repetitions: int, largest: int
) -> list[dict[str, Any]]:
    """Time steps with K classes of A attributes; training up to `largest` texts."""
    parts: dict[str, Callable[[], object]] = {}
    for classes, attributes in sizes:
        scene = build_scene(backbone, classes=classes, attributes=attributes, batch=batch)
        parts = {**parts, **(tower_parts(scene) if not parts else {})}
        found = method_parts(scene)
        for kind in _FLOORS:
            if kind == "evaluation" or classes * attributes <= largest:
                parts[f"{kind} {classes} {attributes}"] = found[f"{kind} step"]
    costs = measure(parts, repetitions, backbone.device)
    rows = []
    for name, cost in costs.items():
        if name in (FORWARD, GRADIENT):
            rows.append(_row(name, "", "", cost, cost))
            continue
        kind, classes_text, attributes_text = name.split()
        floor = costs[_FLOORS[kind]]
        rows.append(_row(kind, classes_text, attributes_text, cost, floor))
    return rows


def _row(part: str, classes: str, attributes: str, cost: Cost, floor: Cost) -> dict[str, Any]:
    return {
        "part": part,
        "classes": classes,
        "attributes": attributes,
        "seconds": f"{cost.seconds:.4f}",
        "cpu_seconds": f"{cost.cpu_seconds:.4f}",
        "ratio": f"{cost.cpu_seconds / floor.cpu_seconds:.3f}",
        "peak_mib": "" if cost.peak_mib is None else f"{cost.peak_mib:.0f}",
    }


def clients(
    backbone: Backbone, batch: int, counts: Sequence[int], repetitions: int
) -> list[dict[str, Any]]:
    """Time one round in which every one of N clients takes one step on a batch of its own."""
    scene = build_scene(backbone, classes=2, attributes=4, batch=batch)
    federation = FEDERATION.model_copy(update={"batch_size": batch})
    method = FedMVP(backbone, FedMVPParams(), seed=0).to(backbone.device)
    initial = {name: tensor.detach().clone() for name, tensor in method.tensors().items()}

    def load(name: str) -> ClientData:
        labels = scene.data.labels.cpu().numpy()
        return ClientData(backbone, scene.data.images, labels, scene.data.classes)

    def round_of(count: int) -> Callable[[], object]:
        names = [f"client{k:04}" for k in range(count)]

        def run() -> None:
            backend = InProcessBackend(method, load, names, federation, 0)
            run_federation(initial, backend, names, federation, seed=0)

        return run

    parts = {str(count): round_of(count) for count in counts}
    return [
        {
            "clients": int(name),
            "seconds": f"{cost.seconds:.3f}",
            "cpu_seconds": f"{cost.cpu_seconds:.3f}",
            "cpu_seconds_per_client": f"{cost.cpu_seconds / int(name):.5f}",
            "peak_mib": "" if cost.peak_mib is None else f"{cost.peak_mib:.0f}",
        }
        for name, cost in measure(parts, repetitions, backbone.device).items()
    ]


def plot(title: str, x_label: str, series: dict[str, list[tuple[float, float]]]) -> str:
    """Return an SVG with a line per series."""
    lines = [
        Line(
            f"{name}",
            f"s{number + 1}",
            [x for x, _ in points],
            [y for _, y in points],
            [0.0] * len(points),
        )
        for number, (name, points) in enumerate(series.items())
    ]
    drawn = line_chart(title, lines, lambda y: f"{y:g}", x_label=x_label, from_zero=True)
    style = (
        "<style>text{font:11px sans-serif;fill:#444}path{fill:none}.grid,.axis{stroke:#ddd}"
        ".s1 .line{stroke:#0b63b5;stroke-width:2}.s2 .line{stroke:#c1440e;stroke-width:2}"
        ".s1 .dot{fill:#0b63b5}.s2 .dot{fill:#c1440e}</style>"
    )
    head, body = str(drawn).split(">", 1)
    return f'{head} xmlns="http://www.w3.org/2000/svg">{style}{body}\n'


def _points(
    rows: list[dict[str, Any]], part: str, vary: str, fixed: str
) -> list[tuple[float, float]]:
    base = next(row[fixed] for row in rows if row["part"] == part)
    return [
        (float(row[vary]), float(row["ratio"]))
        for row in rows
        if row["part"] == part and row[fixed] == base
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("steps", "clients"))
    parser.add_argument("--backbone", default="pictoclip")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--classes", default="20,50,100,200,500,1000")
    parser.add_argument("--attributes", default="10", help="the first is used with every K")
    parser.add_argument("--largest", type=int, default=10_000, help="texts of a training step")
    parser.add_argument("--clients", default="10,100,1000")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True, help="folder of the CSV and the plot")
    options = parser.parse_args()
    backbone = backbone_of(options.backbone, prepare_device())
    base = options.out / f"{options.what}-{options.backbone}"
    if options.what == "clients":
        rows = clients(backbone, options.batch, _numbers(options.clients), options.repetitions)
        series = {"CPU seconds": [(r["clients"], float(r["cpu_seconds"])) for r in rows]}
        title, x_label = "CPU seconds of a round", "clients"
    else:
        every, attributes = _numbers(options.classes), _numbers(options.attributes)
        sizes = tuple((k, attributes[0]) for k in every)
        sizes += tuple((every[0], a) for a in attributes[1:])
        rows = steps(backbone, options.batch, sizes, options.repetitions, options.largest)
        series = {kind: _points(rows, kind, "classes", "attributes") for kind in _FLOORS}
        title = f"Ratio to the bare tower, {attributes[0]} attributes a class"
        x_label = "classes"
    write_csv(base.with_suffix(".csv"), tuple(rows[0]), rows)
    write_text(base.with_suffix(".svg"), plot(title, x_label, series))


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


if __name__ == "__main__":
    main()
