"""What wrong clients do to a federation under each aggregation rule.

``FEDMVP_THREADS=1 python -m benchmarks.robustness --jobs 2`` trains FedMVP on base_to_new of the
default profile with all its clients in every round, of which 0, 10, 20 and 30 % flip their labels,
flip the sign of their update, send a million times their update, or send NaN. It adds a line to
docs/robustness.csv as soon as a number is there, so an interrupted run resumes, and writes the
tables of docs/robustness.md; ``--table`` writes them from that file alone. The budget is small
(`ROUNDS`, `IMAGES`, `TESTED`), and there is one seed: half an hour on two idle cores. Needs the
stages backbone, attributes and partition.
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from math import isnan, nan
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fedmvp.config import FederationParams, parse_section
from fedmvp.errors import ClientFailure
from fedmvp.evaluation.protocol import evaluate
from fedmvp.federation.backend import InProcessBackend
from fedmvp.federation.client import ClientData, ClientUpdate, load_tensors
from fedmvp.federation.failures import Failure
from fedmvp.federation.rounds import run_federation
from fedmvp.files import write_text
from fedmvp.partition.model import Partition
from fedmvp.seeds import numpy_generator
from pipeline.support.run_context import RunContext
from pipeline.support.stage import run_stage

__all__ = ["ATTACKS", "RULES", "SHARES"]

OUT, PAGE = Path("docs/robustness.csv"), Path("docs/robustness.md")
START, END = "<!-- table: benchmarks.robustness -->\n", "<!-- end -->"
METHOD = "fedmvp"
SEED, ROUNDS, IMAGES = 1, 5, 24
TESTED = 100  # images per dataset
SHARES = (0.0, 0.1, 0.2, 0.3)

RULES: dict[str, dict[str, Any]] = {
    "fedavg": {},
    "fedprox": {},
    "fedavgm": {},
    "fedadam": {},
    "fedyogi": {},
    "median": {},
    "trimmed_mean": {"trim_fraction": 0.3},
    "krum": {},
    "multi_krum": {"krum_keep": 10},
    "fedavg, clipped": {"aggregation": "fedavg", "clip_norm": 3.0},
}
"""Row → entries of the federation; the row's name is its rule where none is given."""

Send = Callable[[Tensor, Tensor], Tensor]
"""From what was downloaded and what was trained to what is sent."""


@dataclass(frozen=True)
class Attack:
    """What a wrong client does: trains on flipped labels, or sends something else."""

    title: str
    flips_labels: bool = False
    send: Send | None = None


ATTACKS = (
    Attack("Labels flipped: class k of K is trained as K − 1 − k", flips_labels=True),
    Attack("Sign flipped: w − Δ", send=lambda start, trained: 2 * start - trained),
    Attack("Scaled: w + 10⁶ Δ", send=lambda start, trained: start + 1e6 * (trained - start)),
    Attack("NaN", send=lambda start, trained: torch.full_like(trained, torch.nan)),
)


class Job(NamedTuple):
    """One number to measure: a rule against an attack (None: no wrong client) by a share."""

    rule: str
    attack: int | None
    share: float


class Attacked:
    """A backend some of whose clients send something else than they trained."""

    def __init__(self, backend: InProcessBackend, wrong: frozenset[str], send: Send) -> None:
        self.backend, self.wrong, self.send = backend, wrong, send

    def run(
        self,
        tensors: Mapping[str, Tensor],
        clients: Sequence[str],
        round_index: int,
        learning_rate: float,
        extra: Mapping[str, Mapping[str, Tensor]] | None = None,
        since: Mapping[str, int] | None = None,
    ) -> Iterator[ClientUpdate | Failure]:
        """Yield each client's update; see `fedmvp.federation.backend.Backend`."""
        for result in self.backend.run(tensors, clients, round_index, learning_rate, extra, since):
            if isinstance(result, ClientUpdate) and result.client in self.wrong:
                sent = {n: self.send(tensors[n], tensor) for n, tensor in result.tensors.items()}
                result = replace(result, tensors=sent)
            yield result


@cache
def _bench() -> RunContext:
    return RunContext("base_to_new", METHOD)


def wrong_clients(clients: Sequence[str], share: float) -> frozenset[str]:
    """Return the wrong ones of `clients`; a larger share contains a smaller one."""
    order = numpy_generator(SEED, "wrong clients").permutation(len(clients))
    return frozenset(clients[int(i)] for i in order[: round(share * len(clients))])


def _federation(job: Job, wrong: int) -> FederationParams:
    changes = {
        "aggregation": job.rule,
        "rounds": ROUNDS,
        "participation": 1.0,
        "byzantine": wrong,
        "on_client_failure": "skip",
        **RULES[job.rule],
    }
    section = {**_bench().federation.model_dump(), **changes}
    return parse_section(FederationParams, section, "benchmarks.robustness")


def _tested(partition: Partition) -> Partition:
    """Return the partition with the known classes of each dataset as targets, on fewer images."""
    targets = [t for t in partition.targets if t.group == "base"]
    drawn = (
        replace(t, images=t.images[:: max(len(t.images) // TESTED, 1)][:TESTED]) for t in targets
    )
    return replace(partition, targets=tuple(drawn))


def measure(job: Job) -> tuple[Job, float]:
    """Return the accuracy on known classes after training, the mean over datasets, a fraction.

    NaN where the federation stops: no client can train with what the rule made of the updates.
    """
    bench = _bench()
    clients = {c.id: c for c in bench.partition.clients}
    wrong = frozenset() if job.attack is None else wrong_clients(list(clients), job.share)
    attack = Attack("none") if job.attack is None else ATTACKS[job.attack]

    def load(name: str) -> ClientData:
        client = clients[name]
        classes = bench.banks.select(client.dataset, client.domain, client.classes)
        images, labels = bench.train_images(client.dataset, client.train, classes.names)
        if attack.flips_labels and name in wrong:
            labels = len(classes) - 1 - labels
        drawn = numpy_generator(SEED, "images", name).permutation(len(labels))[:IMAGES]
        return ClientData(bench.backbone, images[drawn], labels[drawn], classes)

    method = bench.create(SEED)
    federation = _federation(job, len(wrong))
    backend = InProcessBackend(method, load, list(clients), federation, SEED)
    try:
        result = run_federation(
            {name: tensor.detach().clone() for name, tensor in method.tensors().items()},
            backend if attack.send is None else Attacked(backend, wrong, attack.send),
            list(clients),
            federation,
            seed=SEED,
        )
    except ClientFailure:
        return job, nan
    load_tensors(method, result.tensors)
    return job, _accuracy(method)


def _accuracy(method: Any) -> float:
    bench = _bench()
    rows = evaluate(
        _tested(bench.partition),
        method,
        lambda fold: None,
        bench.banks,
        bench.test_images,
        batch_size=_bench().params.evaluation.batch_size,
    )
    return fmean(row["accuracy"] for row in rows)


def read() -> dict[Job, float]:
    """Return what was measured."""
    if not OUT.is_file():
        return {}
    titles = {attack.title: index for index, attack in enumerate(ATTACKS)}
    with OUT.open(encoding="utf-8", newline="") as file:
        return {
            Job(line["rule"], titles.get(line["attack"]), float(line["share"])): float(
                line["accuracy"]
            )
            for line in csv.DictReader(file)
        }


def write(found: Mapping[Job, float]) -> None:
    """Write all that was measured, in a fixed order."""
    lines = ["rule,attack,share,accuracy"]
    for job in jobs():
        if job in found:
            title = "none" if job.attack is None else ATTACKS[job.attack].title
            lines.append(f'"{job.rule}","{title}",{job.share:g},{found[job]:.6f}')
    write_text(OUT, "\n".join(lines) + "\n")


def jobs() -> list[Job]:
    """Return everything to measure; those who are not attacked once per rule."""
    attacked = [
        Job(rule, attack, share)
        for attack in range(len(ATTACKS))
        for rule in RULES
        for share in SHARES[1:]
    ]
    return [*(Job(rule, None, 0.0) for rule in RULES), *attacked]


def _cell(accuracy: float | None) -> str:
    if accuracy is None:
        return "—"
    return "stops" if isnan(accuracy) else f"{100 * accuracy:.1f}"


def table(found: Mapping[Job, float]) -> str:
    """Return a Markdown table per attack, in percent."""
    parts = []
    for index, attack in enumerate(ATTACKS):
        lines = [
            f"**{attack.title}**\n",
            "| rule | " + " | ".join(f"{100 * share:.0f} %" for share in SHARES) + " |",
            "| --- " * 5 + "|",
        ]
        for rule in RULES:
            row = [Job(rule, index if share else None, share) for share in SHARES]
            cells = (_cell(found.get(job)) for job in row)
            lines.append(f"| {rule} | {' | '.join(cells)} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is missing, then write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=1, help="processes; set FEDMVP_THREADS=1")
    parser.add_argument("--table", action="store_true", help="only write what is measured")
    chosen = parser.parse_args(arguments)
    found = read()
    missing = [] if chosen.table else [job for job in jobs() if job not in found]
    if missing:
        with multiprocessing.get_context("spawn").Pool(chosen.jobs) as pool:
            for job, accuracy in pool.imap_unordered(measure, missing):
                found[job] = accuracy
                write(found)
                print(f"{job}: {100 * accuracy:.1f} %", flush=True)
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(START)
    write_text(PAGE, f"{before}{START}\n{table(found)}\n{END}{rest.partition(END)[2]}")
    print(PAGE)


if __name__ == "__main__":
    run_stage(main)
