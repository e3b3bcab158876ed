"""What `backbone.linear: convolution` saves: steps of FedMVP with either kind, in one run.

``python -m benchmarks.linear`` prints medians and their ratio for a training step and an evaluation
batch of 16 images of the first client of base_to_new. Needs the stages up to partition.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch

from fedmvp.clip.backbone import load_backbone
from fedmvp.data.manifest_files import load_manifest
from fedmvp.devices import prepare_device
from fedmvp.federation.client import ClientData
from fedmvp.linear import LINEAR
from fedmvp.methods.banks import TextBanks
from fedmvp.methods.build import build_method
from fedmvp.paths import ATTRIBUTES, BACKBONE, manifest_path
from pipeline.support.run_context import RunContext
from pipeline.support.stage import run_stage

BATCH, REPETITIONS = 16, 40


def steps(bench: RunContext, linear: str) -> dict[str, Callable[[], object]]:
    """Return a training step and an evaluation batch, to be called again and again."""
    backbone = load_backbone(BACKBONE, linear=linear)
    client = bench.partition.clients[0]
    banks = TextBanks(
        backbone, ATTRIBUTES, {client.dataset: load_manifest(manifest_path(client.dataset))}
    )
    classes = banks.select(client.dataset, client.domain, client.classes)
    images, labels = bench.train_images(client.dataset, client.train, classes.names)
    data = ClientData(backbone, images, labels, classes)
    method = build_method("fedmvp", backbone, bench.section, 1)
    method.enter(method.first_phase)
    learned = [method.tensors()[name] for name in method.trainable(method.first_phase)]
    batch = data.batch(np.arange(BATCH), torch.Generator().manual_seed(0))

    def train() -> object:
        return torch.autograd.grad(method.loss(batch, classes).total, learned)

    @torch.no_grad()
    def evaluate() -> object:
        return method.logits(batch.images, classes)

    return {"training step": train, "evaluation batch": evaluate}


def main() -> None:
    """Time both kinds, one after the other in turn."""
    prepare_device("cpu")
    bench = RunContext("base_to_new", "fedmvp")
    made = {kind: steps(bench, kind) for kind in LINEAR}
    print(f"{torch.get_num_threads()} threads, {BATCH} images, median of {REPETITIONS}")
    for name in ("training step", "evaluation batch"):
        seconds: dict[str, list[float]] = {kind: [] for kind in made}
        for _ in range(REPETITIONS):
            for kind, calls in made.items():
                start = time.perf_counter()
                calls[name]()
                seconds[kind].append(time.perf_counter() - start)
        plain, fast = (1000 * median(seconds[kind]) for kind in ("matmul", "convolution"))
        print(f"{name}: matmul {plain:.1f} ms, convolution {fast:.1f} ms, ratio {fast / plain:.2f}")


if __name__ == "__main__":
    run_stage(main)
