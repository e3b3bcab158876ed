"""How much the attribute sentences should weigh beside the template, without a test image.

``python -m benchmarks.attributes_weight --out docs/attributes_weight.csv`` classifies the training
images of base_to_new by ``zero_shot_combined`` with several weights w, among each client's own
classes (local) and among all base classes of their dataset (base). The best mean of the two is what
``attributes_weight`` of the default profile is. Needs the stages up to partition.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import mean

import torch

from fedmvp.files import write_text
from fedmvp.methods.build import build_method, method_params
from fedmvp.methods.frozen_image import PromptedTextMethod
from pipeline.support.run_context import RunContext
from pipeline.support.stage import run_stage

METHOD = "zero_shot_combined"
WEIGHTS = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0, 2.0, 4.0)


def score(bench: RunContext, weight: float) -> tuple[float, float]:
    """Return local accuracy (mean over clients) and base accuracy (mean over datasets)."""
    section = method_params(METHOD, {"attributes_weight": weight})
    method = build_method(METHOD, bench.backbone, section, seed=0)
    assert isinstance(method, PromptedTextMethod)
    clients = bench.partition.clients
    base = {
        c.dataset: [n for o in clients if o.dataset == c.dataset for n in o.classes]
        for c in clients
    }
    local: list[float] = []
    among_all: dict[str, list[float]] = {}
    for client in clients:
        images, own = bench.train_images(client.dataset, client.train, client.classes)
        features = bench.backbone.frozen_features([bench.backbone.normalise(images)])
        names = base[client.dataset]
        among = [names.index(client.classes[label]) for label in own]
        right = []
        for candidates, labels in ((client.classes, own.tolist()), (names, among)):
            classes = bench.banks.select(client.dataset, client.domain, candidates)
            found = method.scores(features, classes).argmax(dim=1)
            right.append((found == torch.tensor(labels)).float().tolist())
        local.append(mean(right[0]))
        among_all.setdefault(client.dataset, []).extend(right[1])
    return mean(local), mean(mean(own) for own in among_all.values())


def main() -> None:
    """Score every weight."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="CSV to write")
    out = parser.parse_args().out
    bench = RunContext("base_to_new", METHOD)
    rows = ["attributes_weight,local,base,mean"]
    for weight in WEIGHTS:
        local, base = score(bench, weight)
        rows.append(f"{weight:g},{local:.4f},{base:.4f},{(local + base) / 2:.4f}")
        print(rows[-1], flush=True)
    write_text(out, "\n".join(rows) + "\n")


if __name__ == "__main__":
    run_stage(main)
