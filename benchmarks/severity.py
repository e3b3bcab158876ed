"""When do visual prompts pay? Every method on base_to_new as the sites' cameras get worse.

``FEDMVP_THREADS=1 python -m benchmarks.severity --jobs 2`` trains what `ROWS` lists at each
severity with each seed of params.yaml (profile ``baselines``) and adds a line to docs/severity.csv
as soon as a number is there, so an interrupted run resumes. What `dvc repro` left in results/ at
its own severity is taken from there. ``--draw`` writes the figure and the table of
docs/when_it_pays.md from that file alone. Needs the stages backbone and attributes.
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple

from fedmvp.catalog.spec import load_spec
from fedmvp.config import Params, load_params
from fedmvp.data.build import build_manifest
from fedmvp.data.image_source import ImageSource
from fedmvp.evaluation.metrics import metrics_of
from fedmvp.evaluation.protocol import evaluate
from fedmvp.federation.client import load_tensors
from fedmvp.federation.training import train
from fedmvp.files import read_json, write_text
from fedmvp.methods.banks import TextBanks
from fedmvp.methods.build import build_method, load_method, method_params, resolved_federation
from fedmvp.partition.build import build_partition
from fedmvp.partition.setting_spec import load_setting
from fedmvp.paths import ATTRIBUTES
from fedmvp.results.key import RunKey
from fedmvp.results.weights import fold_tensors
from pipeline.support.run_context import RunContext
from pipeline.support.stage import run_stage

__all__ = ["ROWS", "SEVERITIES"]

OUT, FIGURE = Path("docs/severity.csv"), Path("docs/severity.svg")
PAGE, START, END = (
    Path("docs/when_it_pays.md"),
    "<!-- table: benchmarks.severity -->\n",
    "<!-- end -->",
)
SEVERITIES = (0.0, 0.35, 0.7, 1.0)
METRICS = ("local", "base", "new", "hm")


class Row(NamedTuple):
    """A line of the figure: its title, method, what differs from the profile, and its look."""

    title: str
    method: str
    changes: dict[str, Any]
    look: tuple[str, str]  # colour, dash of matplotlib


ROWS = (
    Row("Zero-shot", "zero_shot", {}, ("0.5", ":")),
    Row("Zero-shot, both texts", "zero_shot_combined", {}, ("0.25", "--")),
    Row("PromptFL", "promptfl", {}, ("tab:orange", "-")),
    Row("FedKgCoOp", "fedkgcoop", {}, ("tab:brown", "-")),
    Row("FedTPG", "fedtpg", {}, ("tab:purple", "-")),
    Row("FedVPT", "fedvpt", {}, ("tab:cyan", "-")),
    Row("FedVPT, deep", "fedvpt_deep", {}, ("tab:green", "-")),
    Row("FedMVP, random start", "fedmvp", {"start": "random"}, ("tab:red", "--")),
    Row("FedMVP", "fedmvp", {"start": "patches"}, ("tab:red", "-")),
)


class Job(NamedTuple):
    """One number to measure."""

    severity: float
    row: int
    seed: int


def measure(job: Job) -> tuple[Job, dict[str, float]]:
    """Return the metrics of base_to_new at a severity, fractions."""
    row = ROWS[job.row]
    context = RunContext("base_to_new", row.method)
    params = context.params
    manifests = {
        name: build_manifest(load_spec(name), params.data.split_seed, job.severity)
        for name in params.data.datasets
    }
    partition = build_partition(
        context.setting,
        load_setting(params.run.suite, context.setting),
        manifests,
        classes_per_client=params.partition.classes_per_client,
        shots=params.partition.shots,
        seed=params.partition.seed,
        scheme=params.partition.scheme,
        candidates=params.partition.candidates,
    )
    backbone = context.backbone
    section = method_params(row.method, {**params.methods[row.method], **row.changes})
    create = partial(build_method, row.method, backbone, section, job.seed)
    banks = TextBanks(backbone, ATTRIBUTES, manifests)
    size_px = backbone.spec.vision.image_size
    method = create()
    if load_method(row.method).trained:
        federation = resolved_federation(
            row.method, section, params.federation, partition.participation
        )
        images = ImageSource(manifests, size_px, "train")
        result = train(partition, create, banks, images, federation, seed=job.seed)
        load_tensors(method, fold_tensors(method, result.tensors, partition.folds[0]))
    rows = evaluate(
        partition,
        method,
        lambda fold: None,
        banks,
        ImageSource(manifests, size_px, "test"),
        batch_size=params.evaluation.batch_size,
    )
    return job, {name: metrics_of(partition.protocol, rows)[name] for name in METRICS}


def read() -> dict[Job, dict[str, float]]:
    """Return what was measured."""
    if not OUT.is_file():
        return {}
    number = {row.title: index for index, row in enumerate(ROWS)}
    with OUT.open(encoding="utf-8", newline="") as file:
        return {
            Job(float(line["severity"]), number[line["method"]], int(line["seed"])): {
                name: float(line[name]) for name in METRICS
            }
            for line in csv.DictReader(file)
        }


def reproduced(params: Params) -> dict[Job, dict[str, float]]:
    """Return what `dvc repro` measured at the params' severity: the same computation."""
    found = {}
    for index, row in enumerate(ROWS):
        same = all(params.methods[row.method].get(k) == v for k, v in row.changes.items())
        for seed in params.run.seeds if load_method(row.method).trained else params.run.seeds[:1]:
            path = RunKey("base_to_new", row.method, seed).folder() / "metrics.json"
            if same and path.is_file():
                metrics = read_json(path)
                found[Job(params.data.capture, index, seed)] = {m: metrics[m] for m in METRICS}
    return found


def write(found: dict[Job, dict[str, float]]) -> None:
    """Write all that was measured, in a fixed order."""
    lines = [",".join(("severity", "method", "seed", *METRICS))]
    for job in sorted(found):
        cells = (f"{found[job][name]:.6f}" for name in METRICS)
        lines.append(
            ",".join((f"{job.severity:g}", f'"{ROWS[job.row].title}"', str(job.seed), *cells))
        )
    write_text(OUT, "\n".join(lines) + "\n")


def _series(
    found: dict[Job, dict[str, float]], row: int, metric: str
) -> Iterator[tuple[float, list[float]]]:
    """Yield each severity with the percentages of its seeds."""
    for severity in SEVERITIES:
        values = [100 * v[metric] for job, v in found.items() if job[:2] == (severity, row)]
        if values:
            yield severity, values


def draw(found: dict[Job, dict[str, float]]) -> None:
    """Draw HM, and the gain over both texts without prompts, against severity."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "severity", "svg.fonttype": "none", "font.size": 9})
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(9.6, 3.8), layout="constrained")
    reference = dict(_series(found, 1, "hm"))
    for index, row in enumerate(ROWS):
        series = list(_series(found, index, "hm"))
        colour, dash = row.look
        style = {
            "color": colour,
            "linestyle": dash,
            "label": row.title,
            "marker": "o",
            "markersize": 3,
        }
        style["linewidth"] = 2.2 if row.method == "fedmvp" else 1.2
        severities = [severity for severity, _ in series]
        means = [fmean(values) for _, values in series]
        spreads = [stdev(values) if len(values) > 1 else 0.0 for _, values in series]
        panels[0].plot(severities, means, **style)
        gains = [mean - fmean(reference[s]) for s, mean in zip(severities, means, strict=True)]
        panels[1].errorbar(severities, gains, yerr=spreads, elinewidth=0.8, **style)
    panels[0].set(xlabel="severity of the cameras", ylabel="base-to-new HM, %")
    panels[1].set(xlabel="severity of the cameras", ylabel="points above both texts, no prompts")
    for panel in panels:
        panel.set_xticks(SEVERITIES)
        panel.grid(alpha=0.25)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right center", frameon=False)
    figure.savefig(FIGURE, metadata={"Date": None, "Creator": None})


def table(found: dict[Job, dict[str, float]]) -> str:
    """Return HM by severity as a Markdown table."""
    lines = ["| method | " + " | ".join(f"severity {s:g}" for s in SEVERITIES) + " |"]
    lines.append("| --- " * (1 + len(SEVERITIES)) + "|")
    for index, row in enumerate(ROWS):
        series = dict(_series(found, index, "hm"))
        cells = [
            f"{fmean(series[s]):.2f}" + (f" ± {stdev(series[s]):.2f}" if len(series[s]) > 1 else "")
            if s in series
            else "—"
            for s in SEVERITIES
        ]
        lines.append(f"| {row.title} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is missing, then draw."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=1, help="processes; set FEDMVP_THREADS=1")
    parser.add_argument("--draw", action="store_true", help="only draw what is measured")
    chosen = parser.parse_args(arguments)
    params = load_params()
    found = {**read(), **({} if chosen.draw else reproduced(params))}
    seeds = params.run.seeds
    jobs = [
        Job(severity, index, seed)
        for severity in SEVERITIES
        for index, row in enumerate(ROWS)
        for seed in (seeds if load_method(row.method).trained else seeds[:1])
        if Job(severity, index, seed) not in found
    ]
    if not chosen.draw:
        with multiprocessing.get_context("spawn").Pool(chosen.jobs) as pool:
            for job, metrics in pool.imap_unordered(measure, jobs):
                found[job] = metrics
                write(found)
                print(
                    f"severity {job.severity:g}, {ROWS[job.row].title}, seed {job.seed}: "
                    f"HM {100 * metrics['hm']:.2f} %",
                    flush=True,
                )
    draw(found)
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(START)
    write_text(PAGE, f"{before}{START}\n{table(found)}\n{END}{rest.partition(END)[2]}")
    print(FIGURE)


if __name__ == "__main__":
    run_stage(main)
