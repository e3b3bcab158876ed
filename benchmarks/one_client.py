"""How far prompts can carry one client: FedMVP trained on a single client's images.

``python -m benchmarks.one_client --out docs/one_client.csv`` trains on all images of one client of
base_to_new at once, with Adam, and writes the accuracy on its training and local test images as it
goes, beside zero-shot. It tells what the default profile's few rounds leave on the table from what
the prompts cannot do at all. Needs the stages up to partition.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fedmvp.config import FederationParams
from fedmvp.federation.client import ClientData
from fedmvp.federation.optimizers import OPTIMIZERS
from fedmvp.files import write_text
from fedmvp.methods.base import Method
from fedmvp.methods.build import build_method, method_params
from fedmvp.methods.classes import ClassSet
from fedmvp.seeds import torch_generator
from pipeline.support.run_context import RunContext
from pipeline.support.stage import run_stage

__all__ = ["main"]


def _accuracy(method: Method, images: Tensor, labels: Tensor, classes: ClassSet) -> float:
    with torch.no_grad():
        return float((method.logits(images, classes).argmax(dim=1) == labels).double().mean())


def _train(
    bench: RunContext, client: int, alpha: float, steps: int, federation: FederationParams
) -> list[str]:
    """Return CSV rows: alpha, step (-1: zero-shot), training and test accuracy."""
    chosen = bench.partition.clients[client]
    local = next(t for t in bench.partition.targets if t.group == "local" and t.name == chosen.id)
    backbone = bench.backbone
    classes = bench.banks.select(chosen.dataset, chosen.domain, chosen.classes)
    images, labels = bench.train_images(chosen.dataset, chosen.train, classes.names)
    tested, answers = bench.test_images(local.dataset, local.images, classes.names)
    data = ClientData(backbone, images, labels, classes)
    train_x, train_y = backbone.normalise(images), torch.as_tensor(labels)
    test_x, test_y = backbone.normalise(tested), torch.as_tensor(answers)
    rows: list[str] = []

    def note(step: int, method: Method) -> None:
        seen = _accuracy(method, train_x, train_y, classes)
        unseen = _accuracy(method, test_x, test_y, classes)
        rows.append(
            f"{chosen.id},{len(train_y)},{len(test_y)},{alpha:g},{step},{seen:.4f},{unseen:.4f}"
        )
        print(rows[-1], flush=True)

    note(-1, build_method("zero_shot", backbone, method_params("zero_shot", {}), 1))
    section = {**bench.params.methods["fedmvp"], "consistency_weight": alpha}
    method = build_method("fedmvp", backbone, method_params("fedmvp", section), 1)
    method.enter(method.first_phase)
    names = method.trainable(method.first_phase)
    own = {name: method.tensors()[name].requires_grad_(True) for name in names}
    state: dict[str, Tensor] = {}
    views = torch_generator(1, "views")
    for step in range(steps + 1):
        if step % 20 == 0:
            note(step, method)
        loss = method.loss(data.batch(np.arange(len(train_y)), views), classes)
        found = torch.autograd.grad(loss.total, list(own.values()))
        with torch.no_grad():
            OPTIMIZERS["adam"](own, dict(zip(names, found, strict=True)), state, federation, 0.001)
    return rows


def main() -> None:
    """Parse the command line and train once per alpha."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alpha", type=float, nargs="+", default=[0.0, 10.0])
    parser.add_argument("--client", type=int, default=0, help="position in the partition")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--out", type=Path, required=True, help="CSV to write")
    chosen = parser.parse_args()
    bench = RunContext("base_to_new", "fedmvp")
    rows = ["client,training_images,test_images,alpha,step,training_accuracy,test_accuracy"]
    for alpha in chosen.alpha:
        rows += _train(bench, chosen.client, alpha, chosen.steps, bench.params.federation)
    write_text(chosen.out, "\n".join(rows) + "\n")


if __name__ == "__main__":
    run_stage(main)
