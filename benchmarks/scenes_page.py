"""docs/results_scenes.md from the results of `dvc repro`: methods on images of many labels.

``python -m benchmarks.scenes_page --took "an hour on two cores"``, after
``fedmvp profile use scenes-baselines && FEDMVP_THREADS=1 dvc repro``.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.rates import read_rates, tuned_text
from benchmarks.results_page import (
    conditions,
    losses,
    markdown_table,
    metric_table,
    study_of,
)
from benchmarks.scenes_intervals import runs_of
from benchmarks.scenes_tuning import RECORD, SEED
from fedmvp.config import Params, load_params
from fedmvp.evaluation.bootstrap import Interval
from fedmvp.files import write_text
from fedmvp.methods import method_title
from fedmvp.partition.setting_spec import load_setting
from fedmvp.report.estimates import FOCUS
from fedmvp.report.format import points
from fedmvp.report.multilabel_intervals import multilabel_intervals
from fedmvp.report.study import Study
from pipeline.support.stage import run_stage

OUT = Path("docs") / "results_scenes.md"
COMMAND = (
    "fedmvp profile use {profile}\nFEDMVP_THREADS=1 dvc repro\n"
    "python -m benchmarks.scenes_page --took …"
)
PLAIN = ("zero_shot", "zero_shot_combined")
METRICS = {"map": "mAP", "map_zsl": "ZSL mAP", "map_gzsl": "GZSL mAP", "h": "H"}


def page(study: Study, params: Params, took: str) -> str:
    """Return the page as Markdown.

    Parameters
    ----------
    took : str
        How long `dvc repro` ran, and on what.
    """
    scored = "H on half of each site's training images and every fourth class, held back"
    blocks = [
        "# Results on images of many labels",
        "Every number is read from `results/` by the last of these commands; the first two made "
        f"them in {took}.",
        f"<!-- not run: takes too long -->\n```sh\n{COMMAND.format(profile=params.profile)}\n```",
        conditions(params, study),
        f"Sites see their scenes through cameras of severity {params.data.capture:g}. Beside every "
        "mAP stands the prevalence, the share of images that show a class: what a random order "
        "scores. Terms are defined in [images of many labels](multilabel.md).",
        tuned_text(
            read_rates(RECORD), params.run.trained, SEED, scored, "benchmarks.scenes_tuning"
        ),
        "FedMVP's switch to LoRA is off ([why](multilabel.md#head)). How many shots, and that all "
        "sites take part in each round, was chosen by FedMVP's score alone, on this seed and the "
        "next two ([why](decisions.md#emoji-scenes)).",
    ]
    for setting in study.scores:
        blocks += [f"## {load_setting(params.run.suite, setting).title}"]
        blocks += [metric_table(study, setting)]
        blocks += _intervals(study, setting)
    blocks += losses(study)
    if study.missing:
        blocks.append("## Missing\n\n" + "\n".join(f"* {name}" for name in study.missing))
    return "\n\n".join(blocks) + "\n"


def _intervals(study: Study, setting: str) -> Iterator[str]:
    """Compare FedMVP with what needs no training, for each seed and over all."""
    if FOCUS not in study.scores[setting].methods:
        return
    ours = runs_of(setting, FOCUS)
    rows = []
    for name in (method for method in PLAIN if method in study.scores[setting].methods):
        theirs = runs_of(setting, name)
        for seeds in [[seed] for seed in study.seeds] + [list(study.seeds)]:
            found = multilabel_intervals(
                study.partitions[setting],
                {seed: ours[seed] for seed in seeds},
                {name: {seed: theirs[seed] for seed in seeds}},
            )[name]
            told = ", ".join(map(str, seeds))
            rows.append([method_title(name), told, *(_cell(found[metric]) for metric in METRICS)])
    yield (
        f"{method_title(FOCUS)} minus what needs no training, in points, with the 95 % interval of "
        "a paired bootstrap over test images:"
    )
    yield markdown_table(["against", "seeds", *METRICS.values()], rows)


def _cell(interval: Interval) -> str:
    ends = (interval.difference, interval.low, interval.high)
    return "{} [{}, {}]".format(*map(points, ends))


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the page of params.yaml's profile."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--took", required=True, help='e.g. "an hour on two cores"')
    chosen = parser.parse_args(arguments)
    params = load_params()
    write_text(OUT, page(study_of(params), params, chosen.took))
    print(OUT)


if __name__ == "__main__":
    run_stage(main)
