"""One measurement: inputs, workloads, ratios to the bare tower, the estimate for params.yaml."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch

from fedmvp.clip.spec import BackboneSpec
from fedmvp.config import Params
from fedmvp.errors import FedMVPError
from fedmvp.partition.model import Partition
from fedmvp.partition.partition_files import load_partition
from fedmvp.paths import partition_path
from fedmvp.profiling.estimate import estimate_seconds, start_up_seconds, work_of
from fedmvp.profiling.inputs import Scene, build_scene, random_backbone
from fedmvp.profiling.planned_partitions import planned_partitions
from fedmvp.profiling.roofline import forward_flop, matrix_product, product_flop
from fedmvp.profiling.timing import Cost, measure
from fedmvp.profiling.workloads import FORWARD, GRADIENT, image_loading, method_parts, tower_parts
from fedmvp.shortcuts import Shortcuts, compile_wanted

__all__ = ["Question", "answer"]

_TEXTS, _IMAGES, _PRODUCT = "text encoding", "image loading", "matrix product"
#: What each part is compared with; what is not named here, with the bare forward.
_FLOOR = {GRADIENT: GRADIENT, "training step": GRADIENT, "naive training step": GRADIENT}


@dataclass(frozen=True)
class Question:
    """What to measure; see `fedmvp bench`."""

    classes: int
    attributes: int
    batch: int
    precision: str
    repetitions: int
    naive: bool
    device: torch.device
    planned: bool = False
    linear: str = "matmul"


def answer(spec: BackboneSpec, question: Question, params: Params | None) -> dict[str, Any]:
    """Measure, and return what ``fedmvp bench --json`` prints."""
    costs = _costs(spec, question)
    rows = [_row(name, cost, costs, question) for name, cost in costs.items()]
    best = product_flop(question.device) / costs[_PRODUCT].seconds
    forward = question.batch * forward_flop(spec)
    flop = {FORWARD: forward, GRADIENT: 2 * forward}
    result: dict[str, Any] = {
        "backbone": spec.name,
        "device": _name(question.device),
        "threads": torch.get_num_threads(),
        **{key: value for key, value in vars(question).items() if key != "device"},
        "parts": rows,
        "product_gflop_per_second": best / 1e9,
        "share_of_product": {n: flop[n] / costs[n].seconds / best for n in flop},
    }
    return {**result, **_estimate(question, params, costs)}


def _costs(spec: BackboneSpec, question: Question) -> dict[str, Cost]:
    scene = _scene(spec, question, naive=False)
    bare = scene
    if compile_wanted():  # what it gains is seen against a tower that is not compiled
        bare = _scene(spec, question, naive=False)
        scene.backbone.compile_blocks()
    parts = {**tower_parts(bare), **method_parts(scene)}
    if question.naive:
        naive = method_parts(_scene(spec, question, naive=True), "naive ")
        parts |= {name: naive[name] for name in ("naive training step", "naive evaluation step")}
    with tempfile.TemporaryDirectory() as folder:
        size = spec.vision.image_size
        parts[_IMAGES] = image_loading(Path(folder), question.batch, size)
        parts[_PRODUCT] = matrix_product(scene.backbone)
        return measure(parts, question.repetitions, question.device)


def _scene(spec: BackboneSpec, question: Question, *, naive: bool) -> Scene:
    plain = Shortcuts(**{field.name: False for field in fields(Shortcuts)})
    backbone = random_backbone(
        spec,
        precision=question.precision,
        device=question.device,
        shortcuts=plain if naive else Shortcuts.from_environment(),
        linear=question.linear,
    )
    return build_scene(
        backbone,
        classes=question.classes,
        attributes=question.attributes,
        batch=question.batch,
        naive=naive,
    )


def _row(name: str, cost: Cost, costs: dict[str, Cost], question: Question) -> dict[str, Any]:
    floor = costs[_FLOOR.get(name, FORWARD)]
    texts = question.classes * question.attributes
    items = {_TEXTS: texts, _PRODUCT: 1}.get(name, question.batch)
    return {
        "part": name,
        **asdict(cost),
        "ratio": cost.seconds / floor.seconds,
        "cpu_ratio": cost.cpu_seconds / floor.cpu_seconds,
        "per_second": items / cost.seconds,
    }


def _estimate(question: Question, params: Params | None, costs: dict[str, Cost]) -> dict[str, Any]:
    batch = question.batch
    if params is None:
        return {"repro_seconds": None, "repro_note": "there is no params.yaml here"}
    try:
        work = work_of(params, _partitions(params, question.planned))
    except FedMVPError as error:
        return {"repro_seconds": None, "repro_note": str(error)}
    per_image = {
        "training": costs["training step"].seconds / batch,
        "frozen": costs["zero-shot step"].seconds / batch,
        "evaluation": costs["evaluation step"].seconds / batch,
    }
    return {
        "repro_work": asdict(work),
        "repro_seconds": estimate_seconds(work, per_image, start_up_seconds()),
        "repro_note": f"for profile {params.profile}, without DVC's and MLflow's own time, "
        "if its backbone is the one measured",
    }


def _partitions(params: Params, planned: bool) -> dict[str, Partition]:
    if planned:
        return planned_partitions(params)
    return {name: load_partition(partition_path(name)) for name in params.run.settings}


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
