"""A learning rate for every method, chosen with the same budget and without a test image.

``python -m benchmarks.tuning`` trains each of ``run.trained`` once per rate with a seed no result
uses, and scores it on images and classes held out of the training images alone: half of each
client's classes stay unseen, half of the images of the others are kept back. What is scored stands
in benchmarks/tuning.json, one entry at a time, so an interrupted run goes on where it was; the
rates that win belong into ``methods.<name>.federation.learning_rate`` of the profile.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedmvp.config import load_params
from fedmvp.errors import ClientFailure, ConfigError
from fedmvp.evaluation.metrics import metrics_of
from fedmvp.evaluation.protocol import evaluate
from fedmvp.federation.client import load_tensors
from fedmvp.federation.training import fold_tensors, personal_tensors, train
from fedmvp.files import read_json, sha256_json, write_json
from fedmvp.settings.partition import Client, Partition, Target, check
from pipeline.stage import run_stage
from pipeline.workbench import Workbench

__all__ = ["RECORD", "Tuning", "best_rate", "inner_partition", "read_tuning"]

RECORD = Path("benchmarks/tuning.json")
SETTING = "base_to_new"
RATES = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
SEED = 100

LabelOf = Callable[[str, Sequence[str], Sequence[str]], Sequence[int]]
"""Maps dataset, image ids and classes to the images' positions in the classes."""


@dataclass(frozen=True)
class Tuning:
    """What was tried.

    Parameters
    ----------
    scores : mapping of method to mapping of rate to score
        Harmonic mean of local, base and new accuracy; None where training diverged.
    """

    rates: tuple[float, ...]
    seed: int
    rounds: int
    scores: Mapping[str, Mapping[float, float | None]]


def inner_partition(partition: Partition, label_of: LabelOf) -> Partition:
    """Return a base-to-new setting inside the training images of the first fold.

    Of each client's classes every other one is trained on; the others are its new classes. Of a
    trained class's images the first half, rounded up, is trained on and the rest is tested.
    """
    fold = partition.folds[0]
    clients, local = [], []
    seen: dict[str, tuple[list[str], list[str]]] = {}
    unseen: dict[str, tuple[list[str], list[str]]] = {}
    for client in partition.clients_of(fold):
        images: dict[int, list[str]] = {}
        for image, label in zip(
            client.train, label_of(client.dataset, client.train, client.classes), strict=True
        ):
            images.setdefault(int(label), []).append(image)
        kept = [name for i, name in enumerate(client.classes) if i % 2 == 0]
        train, held = [], []
        for i in sorted(images):
            middle = (len(images[i]) + 1) // 2
            if i % 2 == 0:
                train += images[i][:middle]
                held += images[i][middle:]
        new = unseen.setdefault(client.dataset, ([], []))
        new[0].extend(name for i, name in enumerate(client.classes) if i % 2 == 1)
        new[1].extend(image for i in sorted(images) if i % 2 == 1 for image in images[i])
        base = seen.setdefault(client.dataset, ([], []))
        base[0].extend(kept)
        base[1].extend(held)
        clients.append(
            Client(client.id, fold, client.dataset, client.domain, tuple(kept), tuple(train))
        )
        local.append(_target(client.id, fold, "local", client.dataset, (kept, held)))
    targets = [
        *local,
        *(_target(name, fold, "base", name, parts) for name, parts in seen.items()),
        *(_target(name, fold, "new", name, parts) for name, parts in unseen.items()),
    ]
    inner = Partition(
        setting=f"{partition.setting}, tuning",
        protocol="base_to_new",
        split=partition.split,
        clients=tuple(clients),
        targets=tuple(target for target in targets if target.classes and target.images),
    )
    check(inner, "tuning")
    return inner


def _target(
    name: str, fold: str, group: str, dataset: str, parts: tuple[list[str], list[str]]
) -> Target:
    return Target(name, fold, group, dataset, None, tuple(parts[0]), tuple(parts[1]))


def best_rate(scores: Mapping[float, float | None]) -> float | None:
    """Return the rate with the highest score, the lower of equals; None if all diverged."""
    known = {rate: score for rate, score in sorted(scores.items()) if score is not None}
    return max(known, key=lambda rate: known[rate]) if known else None


def read_tuning(path: Path = RECORD) -> Tuning | None:
    """Return what was recorded; None where nothing is."""
    if not path.is_file():
        return None
    value = read_json(path)
    scores = {
        method: {float(rate): score for rate, score in sorted(own["scores"].items())}
        for method, own in value["methods"].items()
    }
    return Tuning(tuple(value["rates"]), value["seed"], value["rounds"], scores)


def _score(bench: Workbench, partition: Partition, rate: float, seed: int) -> float | None:
    """Train with one rate and return the harmonic mean; None if the loss did not stay finite."""
    federation = bench.federation.model_copy(update={"learning_rate": rate})
    try:
        result = train(partition, lambda: bench.create(seed), bench.banks, bench.train_images,
                       federation, seed=seed)  # fmt: skip
    except ClientFailure:
        return None
    method = bench.create(seed)

    def load_personal(fold: str, client: str) -> None:
        load_tensors(method, fold_tensors(method, result.tensors, fold))
        load_tensors(method, personal_tensors(result.tensors, fold, client))

    rows = evaluate(
        partition,
        method,
        lambda fold: load_tensors(method, fold_tensors(method, result.tensors, fold)),
        bench.banks,
        bench.train_images,
        batch_size=bench.params.evaluation.batch_size,
        load_personal=load_personal,
    )
    return metrics_of("base_to_new", rows)["hm"]


def _identity(bench: Workbench, seed: int) -> str:
    """Return a hash of all a score depends on besides the rate."""
    content = bench.identity(seed, trained=True)
    content["params"]["federation"].pop("learning_rate")
    content["params"]["method"]["federation"].pop("learning_rate", None)
    del content["fingerprint"]
    return sha256_json(content)


def _table(tuning: Tuning) -> str:
    """Return the scores as text, and the entries of params.yaml that follow from them."""
    lines = [f"{'method':<14}" + "".join(f"{rate:>10g}" for rate in tuning.rates) + "  best"]
    entries = ["methods:"]
    for method, scores in tuning.scores.items():
        best = best_rate(scores)
        cells = [scores.get(rate) for rate in tuning.rates]
        texts = ["diverged" if cell is None else f"{100 * cell:.2f}" for cell in cells]
        edge = ", at the edge" if best in (tuning.rates[0], tuning.rates[-1]) else ""
        lines.append(f"{method:<14}" + "".join(f"{text:>10}" for text in texts)
                     + f"  {'none' if best is None else f'{best:g}'}{edge}")  # fmt: skip
        if best is not None:
            entries += [f"  {method}:", f"    federation: {{learning_rate: {best:g}}}"]
    return "\n".join([*lines, "", *entries])


def main(arguments: Sequence[str] | None = None) -> None:
    """Score every method with every rate and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rates", nargs="+", type=float, default=RATES)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--methods", nargs="+", help="by default run.trained of params.yaml")
    chosen = parser.parse_args(arguments)
    params = load_params()
    if chosen.seed in params.run.seeds:
        raise ConfigError("seed is one of the results'", where="--seed", value=chosen.seed,
                          mend="choose another")  # fmt: skip
    names = tuple(chosen.methods or params.run.trained)
    benches = [Workbench(SETTING, name) for name in names]
    rates = tuple(sorted(set(chosen.rates)))
    known = read_json(RECORD)["methods"] if RECORD.is_file() else {}
    methods: dict[str, Any] = dict(known)
    for bench in benches:
        identity = _identity(bench, chosen.seed)
        if known.get(bench.method, {}).get("identity") != identity:
            methods[bench.method] = {"identity": identity, "scores": {}}
    record = {"rates": rates, "seed": chosen.seed, "rounds": params.federation.rounds,
              "methods": methods}  # fmt: skip
    sources = benches[0].train_images.manifests
    inner = inner_partition(
        benches[0].partition, lambda name, ids, classes: sources[name].labels(ids, classes).tolist()
    )
    for bench in benches:
        for rate in rates:
            scores = methods[bench.method]["scores"]
            if str(rate) in scores:
                continue
            start = time.monotonic()
            scores[str(rate)] = _score(bench, inner, rate, chosen.seed)
            write_json(RECORD, record, sort_keys=False)
            print(f"{bench.method} {rate:g}: {scores[str(rate)]}, "
                  f"{time.monotonic() - start:.0f} s", flush=True)  # fmt: skip
    tuning = read_tuning()
    if tuning is not None:
        print(_table(tuning))


if __name__ == "__main__":
    run_stage(main)
