"""What hiding a site costs in accuracy, by the number of sites: client-level differential privacy.

``nice -n 5 python -m benchmarks.federation_privacy`` trains PromptFL on clients of base_to_new of
the default profile, 3, 10 and 21 of them, each a site with classes of its own: without privacy,
with clipped updates, and with noise. Accuracy is that on the sites' own held-out images, each among
its site's classes. It adds a line to docs/federation_privacy.csv as soon as a number is there, so
an interrupted run resumes, and writes the table of docs/federation_threats.md; ``--table`` writes
it from that file alone. The budget is small (`ROUNDS`, `IMAGES`), and there is one seed: some
minutes of one core. Needs the stages backbone, attributes and partition.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

from fedmvp.config import DifferentialPrivacyParams, FederationParams, parse_section
from fedmvp.evaluation.protocol import evaluate
from fedmvp.federation.aggregation.privacy import epsilon
from fedmvp.federation.backend import InProcessBackend
from fedmvp.federation.client import ClientData, load_tensors
from fedmvp.federation.rounds import run_federation
from fedmvp.files import write_text
from fedmvp.partition.model import Client, Partition
from fedmvp.seeds import numpy_generator
from pipeline.support.run_context import RunContext
from pipeline.support.stage import run_stage

__all__ = ["CLIP_NORM", "DELTA", "NOISES", "SITES"]

OUT, PAGE = Path("docs/federation_privacy.csv"), Path("docs/federation_threats.md")
START, END = "<!-- table: benchmarks.federation_privacy -->\n", "<!-- end -->"
METHOD, SEED = "promptfl", 1
ROUNDS, IMAGES, BATCH = 6, 32, 8
TESTED = 60  # images per site
CLIP_NORM, DELTA = 0.5, 1e-3
SITES = (3, 10, 21)
NOISES = ("untrained", "none", 0.0, 0.3, 1.0, 3.0)
"""No training, no privacy, and noise multipliers; with 0 updates are clipped only."""


class Job(NamedTuple):
    """One number to measure."""

    noise: str | float
    sites: int


@cache
def _bench() -> RunContext:
    return RunContext("base_to_new", METHOD)


def jobs() -> list[Job]:
    """Return everything to measure."""
    return [Job(noise, sites) for noise in NOISES for sites in SITES]


def sites(count: int) -> list[Client]:
    """Return the first of all clients in a drawn order: fewer are among more."""
    clients = _bench().partition.clients
    order = numpy_generator(SEED, "sites").permutation(len(clients))
    return [clients[int(place)] for place in order[:count]]


def privacy(noise: float) -> DifferentialPrivacyParams:
    """Return the section of a row."""
    return DifferentialPrivacyParams(clip_norm=CLIP_NORM, noise_multiplier=noise, delta=DELTA)


def _federation(job: Job) -> FederationParams:
    private = privacy(job.noise).model_dump() if isinstance(job.noise, float) else None
    changes = {
        "rounds": ROUNDS,
        "batch_size": BATCH,
        "participation": 1.0,
        "weighting": "uniform",
        "privacy": private,
    }
    section = {**_bench().federation.model_dump(), **changes}
    return parse_section(FederationParams, section, "benchmarks.federation_privacy")


def _tested(partition: Partition, clients: Sequence[Client]) -> Partition:
    """Return the partition with the sites' own held-out images as its targets."""
    names = {client.id for client in clients}
    own = [t for t in partition.targets if t.group == "local" and t.name in names]
    drawn = (replace(t, images=t.images[:: -(-len(t.images) // TESTED)]) for t in own)
    return replace(partition, targets=tuple(drawn))


def measure(job: Job) -> float:
    """Return the share of right images of all sites together."""
    bench, clients = _bench(), {client.id: client for client in sites(job.sites)}

    def load(name: str) -> ClientData:
        client = clients[name]
        classes = bench.banks.select(client.dataset, client.domain, client.classes)
        images, labels = bench.train_images(client.dataset, client.train, classes.names)
        drawn = numpy_generator(SEED, "images", name).permutation(len(labels))[:IMAGES]
        return ClientData(bench.backbone, images[drawn], labels[drawn], classes)

    method = bench.create(SEED)
    if job.noise != "untrained":
        federation = _federation(job)
        result = run_federation(
            {name: tensor.detach().clone() for name, tensor in method.tensors().items()},
            InProcessBackend(method, load, list(clients), federation, SEED),
            list(clients),
            federation,
            seed=SEED,
        )
        load_tensors(method, result.tensors)
    rows = evaluate(
        _tested(bench.partition, list(clients.values())),
        method,
        lambda fold: None,
        bench.banks,
        bench.test_images,
        batch_size=BATCH,
    )
    images = sum(row["images"] for row in rows)
    return float(sum(row["accuracy"] * row["images"] for row in rows) / images)


def read() -> dict[Job, float]:
    """Return what was measured."""
    if not OUT.is_file():
        return {}
    known = {str(noise): noise for noise in NOISES}
    with OUT.open(encoding="utf-8", newline="") as file:
        return {
            Job(known[line["noise"]], int(line["sites"])): float(line["accuracy"])
            for line in csv.DictReader(file)
        }


def write(found: Mapping[Job, float]) -> None:
    """Write all that was measured, in a fixed order."""
    lines = [f"{job.noise},{job.sites},{found[job]:.6f}" for job in jobs() if job in found]
    write_text(OUT, "\n".join(["noise,sites,accuracy", *lines]) + "\n")


def table(found: Mapping[Job, float]) -> str:
    """Return a Markdown table, in percent."""
    head = " | ".join(f"{count} sites" for count in SITES)
    lines = [f"| noise multiplier | ε at δ = {DELTA:g} | {head} |", "| --- " * 5 + "|"]
    for noise in NOISES:
        row = [found.get(Job(noise, count)) for count in SITES]
        cells = " | ".join("—" if value is None else f"{100 * value:.1f}" for value in row)
        lines.append(f"| {_title(noise)} | {_epsilon(noise)} | {cells} |")
    return "\n".join(lines) + "\n"


def _title(noise: str | float) -> str:
    titles: dict[str | float, str] = {
        "untrained": "no training",
        "none": "no privacy",
        0.0: f"0: updates clipped to {CLIP_NORM:g}",
    }
    return titles.get(noise) or f"{noise:g}"


def _epsilon(noise: str | float) -> str:
    if noise == "untrained":
        return "0"
    spent = (
        epsilon(privacy(noise), rounds=ROUNDS, sampling=1.0) if isinstance(noise, float) else None
    )
    return "∞" if spent is None else f"{spent:.1f}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is missing, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--table", action="store_true", help="only write what is measured")
    chosen = parser.parse_args(arguments)
    found = read()
    for job in jobs() if not chosen.table else []:
        if job not in found:
            found[job] = measure(job)
            write(found)
            print(f"{job}: {100 * found[job]:.1f} %", flush=True)
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(START)
    write_text(PAGE, f"{before}{START}\n{table(found)}\n{END}{rest.partition(END)[2]}")
    print(PAGE)


if __name__ == "__main__":
    run_stage(main)
