"""Every method's own knobs, chosen with one budget for all and without a test image.

``python -m benchmarks.tuning`` trains each of ``run.trained`` once per trial with a seed no result
uses, and scores it on images and classes held out of the training images alone: half of each
client's classes stay unseen, half of the images of the others are kept back. Every method has as
many trials as there are learning rates; FedMVP spends its own on rate, consistency weight, start,
number and depth of prompts (`TRIALS`). What is scored stands in benchmarks/tuning.json, one entry
at a time, so an interrupted run resumes; what wins belongs into ``methods.<name>`` of the profile.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fedmvp.config import load_params
from fedmvp.errors import ClientFailure, ConfigError
from fedmvp.evaluation.metrics import metrics_of
from fedmvp.evaluation.protocol import evaluate
from fedmvp.federation.client import load_tensors
from fedmvp.federation.training import train
from fedmvp.files import read_json, sha256_json, write_json
from fedmvp.methods.build import build_method, method_params, resolved_federation
from fedmvp.partition.model import Client, Partition, Target, check
from fedmvp.results.weights import fold_tensors, personal_tensors
from pipeline.support.run_context import RunContext
from pipeline.support.stage import run_stage

__all__ = ["RECORD", "Tuning", "best_trial", "inner_partition", "read_tuning", "trials_of"]

RECORD = Path("benchmarks/tuning.json")
SETTING = "base_to_new"
RATES = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
#: The held-out setting has a quarter of the images: more of its clients take part in a round.
PARTICIPATION = 0.5
SEED = 100

Trial = Mapping[str, Any]
"""Entries of the method's section; ``learning_rate`` stands for that of its federation."""

TRIALS: dict[str, tuple[Trial, ...]] = {
    "fedmvp": (
        {"learning_rate": 0.003, "consistency_weight": 1.0, "start": "random", "depth": 1},
        {"learning_rate": 0.003, "consistency_weight": 10.0, "start": "patches", "depth": 1},
        {"learning_rate": 0.003, "consistency_weight": 1.0, "start": "patches", "depth": 1},
        {"learning_rate": 0.003, "consistency_weight": 1.0, "start": "patches", "depth": "all"},
        {"learning_rate": 0.003, "consistency_weight": 0.0, "start": "patches", "depth": "all"},
        {"learning_rate": 0.01, "consistency_weight": 1.0, "start": "patches", "depth": "all"},
        {
            "learning_rate": 0.003,
            "consistency_weight": 1.0,
            "start": "patches",
            "depth": "all",
            "n_prompts": 8,
        },
    )
}
"""Of methods with more knobs than a rate: as many as there are rates for the others."""

LabelOf = Callable[[str, Sequence[str], Sequence[str]], Sequence[int]]
"""Maps dataset, image ids and classes to the images' positions in the classes."""


@dataclass(frozen=True)
class Tuning:
    """What was tried.

    Parameters
    ----------
    budget : int
        Trials of every method.
    scores : mapping of method to mapping of trial to score
        A trial as text (`trial_name`); harmonic mean of local, base and new accuracy, None where
        training diverged.
    """

    budget: int
    seed: int
    rounds: int
    scores: Mapping[str, Mapping[str, float | None]]


def trials_of(method: str) -> tuple[Trial, ...]:
    """Return what is tried for a method."""
    return TRIALS.get(method, tuple({"learning_rate": rate} for rate in RATES))


def trial_name(trial: Trial) -> str:
    """Return a trial as text, e.g. ``learning_rate 0.003, start random``."""
    return ", ".join(f"{key} {value}" for key, value in trial.items())


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


def best_trial(scores: Mapping[str, float | None]) -> str | None:
    """Return the trial with the highest score, the first of equals; None if all diverged."""
    known = {trial: score for trial, score in scores.items() if score is not None}
    return max(known, key=lambda trial: known[trial]) if known else None


def read_tuning(path: Path = RECORD) -> Tuning | None:
    """Return what was recorded; None where nothing is."""
    if not path.is_file():
        return None
    value = read_json(path)
    scores = {
        method: {
            name: own["scores"][name]
            for name in map(trial_name, trials_of(method))
            if name in own["scores"]
        }
        for method, own in value["methods"].items()
    }
    return Tuning(value["budget"], value["seed"], value["rounds"], scores)


def _inner(bench: RunContext) -> Partition:
    sources = bench.train_images.manifests
    inner = inner_partition(
        bench.partition, lambda name, ids, classes: sources[name].labels(ids, classes).tolist()
    )
    return replace(inner, participation=PARTICIPATION)


def _score(job: tuple[str, Trial, int]) -> tuple[str, Trial, float | None, float]:
    """Train with one trial and return the harmonic mean; None if the loss did not stay finite."""
    name, trial, seed = job
    start = time.monotonic()
    bench = RunContext(SETTING, name)
    partition = _inner(bench)
    section = {**bench.params.methods[name], **trial}
    rate = section.pop("learning_rate")
    section["federation"] = {**(section.get("federation") or {}), "learning_rate": rate}
    params = method_params(name, section)
    federation = resolved_federation(name, params, bench.params.federation, partition.participation)
    method = build_method(name, bench.backbone, params, seed)
    try:
        result = train(
            partition,
            lambda: build_method(name, bench.backbone, params, seed),
            bench.banks,
            bench.train_images,
            federation,
            seed=seed,
        )
    except ClientFailure:
        return name, trial, None, time.monotonic() - start

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
    return name, trial, metrics_of("base_to_new", rows)["hm"], time.monotonic() - start


def _scored(jobs: Sequence[tuple[str, Trial, int]], processes: int) -> Iterator[Any]:
    """Yield what becomes of the jobs, in processes of their own where several are wanted."""
    if processes == 1:
        yield from map(_score, jobs)
        return
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        yield from pool.imap_unordered(_score, jobs)


def _identity(bench: RunContext, seed: int) -> str:
    """Return a hash of all a score depends on besides what the trials change."""
    content = bench.identity(seed, trained=True)
    changed = {key for trial in trials_of(bench.method) for key in trial}
    for key in changed:
        content["params"]["method"].pop(key, None)
        content["params"]["method"]["federation"].pop(key, None)
        content["params"]["federation"].pop(key, None)
    del content["fingerprint"]
    return sha256_json({**content, "participation": PARTICIPATION})


def _table(tuning: Tuning) -> str:
    """Return the scores as text, the best of each method marked."""
    lines = []
    for method, scores in tuning.scores.items():
        best, names = best_trial(scores), list(scores)
        at_edge = method not in TRIALS and best in (names[0], names[-1])
        lines.append(f"{method}{' (best at the edge of the rates)' if at_edge else ''}")
        for name, score in scores.items():
            text = "diverged" if score is None else f"{100 * score:.2f}"
            lines.append(f"  {text:>8}  {name}{'  <- best' if name == best else ''}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Score every method with every trial and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--methods", nargs="+", help="by default run.trained of params.yaml")
    parser.add_argument("--jobs", type=int, default=1, help="processes; set FEDMVP_THREADS=1")
    chosen = parser.parse_args(arguments)
    params = load_params()
    if chosen.seed in params.run.seeds:
        raise ConfigError(
            "seed is one of the results'", where="--seed", value=chosen.seed, hint="choose another"
        )
    known = read_json(RECORD)["methods"] if RECORD.is_file() else {}
    methods: dict[str, Any] = dict(known)
    jobs: list[tuple[str, Trial, int]] = []
    for name in chosen.methods or params.run.trained:
        identity = _identity(RunContext(SETTING, name), chosen.seed)
        if known.get(name, {}).get("identity") != identity:
            methods[name] = {"identity": identity, "scores": {}}
        done = methods[name]["scores"]
        jobs += [(name, t, chosen.seed) for t in trials_of(name) if trial_name(t) not in done]
    record = {
        "budget": len(RATES),
        "seed": chosen.seed,
        "rounds": params.federation.rounds,
        "methods": methods,
    }
    for name, trial, score, seconds in _scored(jobs, chosen.jobs):
        methods[name]["scores"][trial_name(trial)] = score
        write_json(RECORD, record, sort_keys=False)
        print(f"{name}, {trial_name(trial)}: {score}, {seconds:.0f} s", flush=True)
    tuning = read_tuning()
    if tuning is not None:
        print(_table(tuning))


if __name__ == "__main__":
    run_stage(main)
