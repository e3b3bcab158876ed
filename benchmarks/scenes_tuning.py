"""Every method's learning rate for the profile `scenes`, chosen without a test image.

``python -m benchmarks.scenes_tuning`` trains each of ``run.trained`` once per rate with a seed no
result uses, on every other training image of each site and without every fourth class; the other
images are scored among all classes, and the score is the harmonic mean of the mAP of classes
trained on and of the others. Every method has the same rates. Scores stand in
benchmarks/scenes_tuning.json, written one at a time, so an interrupted run resumes; what wins
belongs into ``methods.<name>.federation`` of the profile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.rates import Score, search, section_at
from fedmvp.errors import ClientFailure
from fedmvp.evaluation.many_labels import evaluate_many
from fedmvp.federation.client import load_tensors
from fedmvp.federation.training import train
from fedmvp.methods.base import Method
from fedmvp.methods.build import build_method, method_params, resolved_federation
from fedmvp.partition.model import Partition, Target, check
from fedmvp.results.weights import fold_tensors
from pipeline.support.run_context import RunContext
from pipeline.support.stage import run_stage

__all__ = ["RATES", "RECORD", "SEED", "inner_partition"]

RECORD = Path("benchmarks/scenes_tuning.json")
SETTING = "sites"
RATES = (0.003, 0.03, 0.3)
SEED = 100
#: Every how many classes one is not trained on, and every how many images one is held back.
UNSEEN, HELD = 4, 2


def inner_partition(context: RunContext) -> Partition:
    """Return a setting inside the training images: fewer classes, half of the images."""
    partition, manifests = context.partition, context.train_images.manifests
    clients, held = [], list[str]()
    for client in partition.clients:
        names = tuple(n for i, n in enumerate(client.classes) if i % UNSEEN != UNSEEN - 1)
        kept = client.train[::HELD]
        labels = np.asarray(manifests[client.dataset].label_matrix(kept, names))
        shown = [image for image, row in zip(kept, labels, strict=True) if (row == 1).any()]
        held += [image for image in client.train if image not in set(kept)]
        clients.append(
            replace(client, classes=names, train=tuple(shown), validation=(), annotations=())
        )
    first = partition.clients[0]
    target = Target("held", first.fold, "gzsl", first.dataset, None, first.classes, tuple(held))
    inner = replace(
        partition,
        setting=f"{partition.setting}, tuning",
        clients=tuple(clients),
        targets=(target,),
    )
    check(inner, "tuning")
    return inner


def _score(name: str, rate: float, seed: int) -> float | None:
    """Train with one rate; return H of what was held back."""
    context = RunContext(SETTING, name)
    inner = inner_partition(context)
    params = method_params(name, section_at(context, rate))
    federation = resolved_federation(name, params, context.params.federation, inner.participation)

    def create() -> Method:
        return build_method(name, context.backbone, params, seed, context.multilabel)

    try:
        result = train(inner, create, context.banks, context.train_images, federation, seed=seed)
    except ClientFailure:
        return None
    method = create()
    rows, _ = evaluate_many(
        inner,
        method,
        lambda fold: load_tensors(method, fold_tensors(method, result.tensors, fold)),
        context.banks,
        context.train_images,
        context.train_images,
        context.params.multilabel,
        batch_size=context.params.evaluation.batch_size,
    )
    return float(rows[0]["h"])


def main(arguments: Sequence[str] | None = None, score: Score = _score) -> None:
    """Score every method with every rate and print the table."""
    search(RECORD, SETTING, RATES, SEED, score, arguments, str(__doc__).partition("\n")[0])


if __name__ == "__main__":
    run_stage(main)
