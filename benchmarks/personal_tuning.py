"""Every method's learning rate for the profile `personal`, chosen without a test image.

``python -m benchmarks.personal_tuning`` trains each of ``run.trained`` once per rate on one
setting, with a seed no result uses, on every other image of each client and class; on the others
each client's model is scored, among the candidate classes of the profile. Every method has the same
rates, and nothing else is chosen. Scores stand in benchmarks/personal_tuning.json, written one at a
time, so an interrupted run resumes; what wins belongs into ``methods.<name>.federation`` of the
profile.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.tuning import LabelOf, best_trial
from fedmvp.config import load_params
from fedmvp.errors import ClientFailure, ConfigError
from fedmvp.evaluation.personal import Models, accuracy_matrix, personal_numbers
from fedmvp.federation.client import load_tensors
from fedmvp.federation.training import train
from fedmvp.files import read_json, sha256_json, write_json
from fedmvp.methods import method_title
from fedmvp.methods.base import Method
from fedmvp.methods.build import build_method, method_params, resolved_federation
from fedmvp.partition.model import Partition, Target, check
from fedmvp.results.weights import fold_tensors, personal_tensors
from pipeline.support.run_context import RunContext
from pipeline.support.stage import run_stage

__all__ = ["RATES", "RECORD", "halved", "read_rates", "tuning_table"]

RECORD = Path("benchmarks/personal_tuning.json")
SETTING = "dirichlet_05"
RATES = (0.003, 0.03, 0.3)
SEED = 100

Scores = Mapping[str, float | None]
"""By rate as text; None where training diverged."""


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
    section = dict(context.params.methods[name])
    section["federation"] = {**(section.get("federation") or {}), "learning_rate": rate}
    params = method_params(name, section)
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


def _identity(name: str, seed: int) -> str:
    """Return a hash of all a score depends on besides the rate."""
    content = RunContext(SETTING, name).identity(seed, trained=True)
    del content["fingerprint"], content["params"]["federation"]["learning_rate"]
    content["params"]["method"].pop("federation")
    return sha256_json(content)


def read_rates(path: Path = RECORD) -> dict[str, Scores]:
    """Return the scores of each method; empty where nothing is recorded."""
    if not path.is_file():
        return {}
    return {name: own["scores"] for name, own in read_json(path)["methods"].items()}


def tuning_table(rates: Mapping[str, Scores]) -> list[list[str]]:
    """Return a row per method: title, percent of each rate, the rate that won."""
    return [
        [
            method_title(name),
            *("diverged" if s is None else f"{100 * s:.2f}" for s in scores.values()),
            best_trial(scores) or "—",
        ]
        for name, scores in rates.items()
    ]


def main(
    arguments: Sequence[str] | None = None,
    score: Callable[[str, float, int], float | None] = _score,
) -> None:
    """Score every method with every rate and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--methods", nargs="+", help="by default run.trained of params.yaml")
    chosen = parser.parse_args(arguments)
    params = load_params()
    if SEED in params.run.seeds:
        raise ConfigError(
            "seed is one of the results'", where="run.seeds", value=SEED, hint="choose another"
        )
    methods: dict[str, Any] = read_json(RECORD)["methods"] if RECORD.is_file() else {}
    for name in chosen.methods or params.run.trained:
        identity = _identity(name, SEED)
        if methods.get(name, {}).get("identity") != identity:
            methods[name] = {"identity": identity, "scores": {}}
        scores = methods[name]["scores"]
        for rate in RATES:
            if f"{rate:g}" in scores:
                continue
            start = time.monotonic()
            scores[f"{rate:g}"] = score(name, rate, SEED)
            record = {"setting": SETTING, "seed": SEED, "rates": RATES, "methods": methods}
            write_json(RECORD, record, sort_keys=False)
            seconds = time.monotonic() - start
            print(f"{name}, {rate:g}: {scores[f'{rate:g}']}, {seconds:.0f} s", flush=True)
    for row in tuning_table(read_rates()):
        print("  ".join(row))


if __name__ == "__main__":
    run_stage(main)
