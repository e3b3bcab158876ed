"""Every method's learning rate for the profile `personal`, chosen without a test image.

``python -m benchmarks.personal_tuning`` trains each of ``run.trained`` once per rate on one
setting, with a seed no result uses, on every other image of each client and class; on the others
each client's model is scored, among the candidate classes of the profile. Every method has the same
rates, and nothing else is chosen. Scores stand in benchmarks/personal_tuning.json, written one at a
time, so an interrupted run resumes; what wins belongs into ``methods.<name>.federation`` of the
profile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.rates import Score, search, section_at
from benchmarks.tuning import LabelOf
from fedmvp.errors import ClientFailure
from fedmvp.evaluation.personal import Models, accuracy_matrix, personal_numbers
from fedmvp.federation.client import load_tensors
from fedmvp.federation.training import train
from fedmvp.methods.base import Method
from fedmvp.methods.build import build_method, method_params, resolved_federation
from fedmvp.partition.model import Partition, Target, check
from fedmvp.results.weights import fold_tensors, personal_tensors
from pipeline.support.run_context import RunContext
from pipeline.support.stage import run_stage

__all__ = ["RATES", "RECORD", "SEED", "halved"]

RECORD = Path("benchmarks/personal_tuning.json")
SETTING = "dirichlet_05"
RATES = (0.003, 0.03, 0.3)
SEED = 100


def halved(partition: Partition, label_of: LabelOf) -> Partition:
    """Return the clients with every other image of each class, tested on their other images.

    A client whose classes have one image each is trained and has nothing to be tested on.
    """
    clients, targets = [], []
    for client in partition.clients:
        labels = label_of(client.dataset, client.train, client.classes)
        kept: list[str] = []
        held: list[str] = []
        for label in sorted(set(labels)):
            own = [i for i, found in zip(client.train, labels, strict=True) if found == label]
            kept += own[::2]
            held += own[1::2]
        clients.append(replace(client, train=tuple(kept)))
        if held:
            targets.append(
                Target(
                    client.id,
                    client.fold,
                    "local",
                    client.dataset,
                    client.domain,
                    client.classes,
                    tuple(held),
                )
            )
    inner = replace(
        partition,
        setting=f"{partition.setting}, tuning",
        clients=tuple(clients),
        targets=tuple(targets),
    )
    check(inner, "tuning")
    return inner


def _score(name: str, rate: float, seed: int) -> float | None:
    """Train with one rate; return the mean accuracy of clients' models on what was held back."""
    context = RunContext(SETTING, name)
    sources = context.train_images.manifests
    inner = halved(
        context.partition, lambda data, ids, names: sources[data].labels(ids, names).tolist()
    )
    params = method_params(name, section_at(context, rate))
    federation = resolved_federation(name, params, context.params.federation, inner.participation)

    def create() -> Method:
        return build_method(name, context.backbone, params, seed)

    alone = federation.model_copy(update={"kept_rounds": 1})
    try:
        result = train(inner, create, context.banks, context.train_images, alone, seed=seed)
    except ClientFailure:
        return None
    method = create()

    def load_global(fold: str) -> None:
        load_tensors(method, fold_tensors(method, result.tensors, fold))

    def load_client(fold: str, client: str) -> None:
        load_global(fold)
        load_tensors(method, personal_tensors(result.tensors, fold, client))
        method.enter(method.first_phase)

    scores = accuracy_matrix(
        inner,
        context.manifests,
        method,
        Models(load_global, load_client if method.personal else None),
        context.banks,
        context.train_images,
        candidates=context.params.evaluation.candidates,
        batch_size=context.params.evaluation.batch_size,
        diagonal=True,
    )
    numbers = personal_numbers(scores, context.params.evaluation.client_mean)["numbers"]
    return float(numbers["personal"])


def main(arguments: Sequence[str] | None = None, score: Score = _score) -> None:
    """Score every method with every rate and print the table."""
    search(RECORD, SETTING, RATES, SEED, score, arguments, str(__doc__).partition("\n")[0])


if __name__ == "__main__":
    run_stage(main)
