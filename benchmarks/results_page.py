"""docs/results.md from the results of `dvc repro`: every number and every sentence on a number.

``python -m benchmarks.results_page --took "38 minutes on two cores"``, after
``fedmvp profile use baselines && dvc repro``.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from benchmarks.tuning import Tuning, best_trial, read_tuning
from fedmvp.config import Params, load_params
from fedmvp.files import write_text
from fedmvp.methods import method_title
from fedmvp.paths import partition_path
from fedmvp.report.estimates import FOCUS, Estimate, SettingScores
from fedmvp.report.format import bytes_text, percent, points, significant
from fedmvp.report.protocols import setting_note, setting_title
from fedmvp.report.study import Study, Subject, load_study
from fedmvp.report.training import traffic
from fedmvp.wording import plural
from pipeline.support.stage import run_stage

__all__ = ["conditions", "losses", "markdown_table", "metric_table", "page", "study_of"]

OUT = Path("docs/results.md")
COMMAND = "fedmvp profile use {profile}\ndvc repro\npython -m benchmarks.results_page --out {out}"
#: Whom the paper's federated prompt tuning is compared with first.
RIVALS = ("promptfl", "fedvpt", "fedtpg")
PLAIN = "zero_shot"
BASE_TO_NEW = "base_to_new"


def page(study: Study, params: Params, tuning: Tuning | None, took: str, out: Path = OUT) -> str:
    """Return the page as Markdown.

    Parameters
    ----------
    took : str
        How long `dvc repro` ran, and on what.
    out : Path
        Where the page is written.
    """
    blocks = [
        "# Results",
        f"Every number is read from `results/` by the last of these commands; the first two made "
        f"them in {took}.",
        f"```sh\n{COMMAND.format(profile=params.profile, out=out)}\n```",
        conditions(params, study),
        _tuned(tuning),
        *(block for setting in study.scores for block in _setting(study, setting)),
        *losses(study),
        *_pattern(study),
    ]
    if study.missing:
        blocks.append("## Missing\n\n" + "\n".join(f"* {name}" for name in study.missing))
    return "\n\n".join(blocks) + "\n"


def conditions(params: Params, study: Study) -> str:
    """Say under which conditions the numbers were made."""
    federation = params.federation
    seeds = ", ".join(map(str, study.seeds))
    return (
        f"Backbone {params.backbone.name}; {plural(len(study.seeds), 'seed')} ({seeds}), shown as "
        f"mean ± sample standard deviation; {plural(federation.rounds, 'round')} with "
        f"{percent(federation.participation, 0)} % of the clients, "
        f"{plural(federation.local_epochs, 'local epoch')}, at most {params.partition.shots} "
        f"training images per class, {federation.aggregation}. One protocol and one code path for "
        "every row; the last round is evaluated. Accuracies are percentages."
    )


def _tuned(tuning: Tuning | None) -> str:
    if tuning is None:
        return (
            "Nothing was chosen by `benchmarks.tuning`: each method runs with what the profile "
            "has, its rate beside its scores."
        )
    rows = []
    for method, scores in tuning.scores.items():
        best = best_trial(scores)
        known = sum(score is not None for score in scores.values())
        score = None if best is None else scores[best]
        rows.append(
            [
                method_title(method),
                f"{known} of {len(scores)}",
                best or "—",
                "—" if score is None else percent(score),
            ]
        )
    return (
        f"One tuning budget for all: {plural(tuning.budget, 'trial')} a method on seed "
        f"{tuning.seed} alone, which no row below uses, for {plural(tuning.rounds, 'round')}, "
        "scored by HM on images and classes held out of the training images "
        "(`python -m benchmarks.tuning`). The methods with one knob try that many learning rates; "
        "FedMVP's trials also choose its consistency weight, start, number and depth of prompts. "
        "What won:\n\n"
        + markdown_table(["method", "trials that converged", "chosen", "held-out HM"], rows)
    )


def _setting(study: Study, setting: str) -> Iterator[str]:
    """Yield the title, tables and notes of one setting."""
    scores = study.scores[setting]
    yield f"## {setting_title(setting)}"
    yield setting_note(setting)
    yield metric_table(study, setting)
    if scores.protocol.primary == "hm":
        yield "Per dataset, HM:"
        yield _parts(scores, "hm")
    elif parts := scores.parts.get("", ()):
        yield f"Per {scores.protocol.part}{'' if len(parts) < 2 else ', mean over seeds'}:"
        yield _parts(scores, "")


def metric_table(study: Study, setting: str) -> str:
    """Return the table of a setting's metrics and of what each method costs."""
    scores, ranks = study.scores[setting], study.ranks[setting]
    metrics = scores.protocol.metrics
    header = [
        "rank",
        "method",
        *(metric.title for metric in metrics),
        "rate",
        "sent per client and round",
        "sent in all",
    ]
    rows = []
    for method in sorted(scores.methods, key=lambda name: (ranks[name], name)):
        cells = [_cell(scores.table[method][metric.key]) for metric in metrics]
        rows.append(
            [f"{ranks[method]:g}", method_title(method), *cells, *_cost(study, setting, method)]
        )
    return markdown_table(header, rows)


def _cell(value: Estimate) -> str:
    spread = "" if value.std is None else f" ± {percent(value.std)}"
    return f"{percent(value.mean)}{spread}"


def _cost(study: Study, setting: str, method: str) -> tuple[str, str, str]:
    runs = study.runs_of(setting, method)
    if method not in study.scores[setting].trained:
        return "—", "—", "—"
    sent = traffic(runs)
    rate = runs[0].params.get("federation", {}).get("learning_rate")
    return (
        "—" if rate is None else significant(rate),
        bytes_text(sent.up_client),
        bytes_text(sent.up_total),
    )


def _parts(scores: SettingScores, metric: str) -> str:
    """Return a table of methods by datasets or targets, in the order of the params."""
    parts = scores.parts.get(metric, ())
    rows = []
    for method in scores.methods:
        row = scores.table[method]
        cells = (row.get(f"{metric}/{part}" if metric else part) for part in parts)
        rows.append([method_title(method), *("—" if c is None else percent(c.mean) for c in cells)])
    return markdown_table(["method", *parts], rows)


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def losses(study: Study) -> Iterator[str]:
    """Say for each setting and metric which methods score above FedMVP, and by how much."""
    if FOCUS not in study.methods:
        return
    yield f"## Where {method_title(FOCUS)} loses"
    lines = []
    for setting, scores in study.scores.items():
        if FOCUS not in scores.methods:
            continue
        for metric in scores.protocol.metrics:
            if metric.key.startswith("prevalence"):  # is of the images, not of a method
                continue
            own = scores.table[FOCUS][metric.key].mean
            gaps = {m: scores.table[m][metric.key].mean - own for m in scores.methods if m != FOCUS}
            above = sorted((m for m in gaps if gaps[m] > 0), key=lambda m: -gaps[m])
            said = ", ".join(f"{method_title(m)} {points(gaps[m])}" for m in above)
            verdict = f"{said} points above it" if above else "nobody scores above it"
            lines.append(f"* {setting_title(setting)}, {metric.title}: {verdict}.")
    yield "\n".join(lines)


def _pattern(study: Study) -> Iterator[str]:
    """Compare with what the paper reports: who falls below zero-shot, and the rivals on HM."""
    scores = study.scores.get(BASE_TO_NEW)
    lines = []
    if scores is not None and FOCUS in scores.methods:
        lines += [_duel(scores, rival) for rival in RIVALS if rival in scores.methods]
    for setting, own in study.scores.items():
        metric = "new" if own.protocol.primary == "hm" else own.protocol.primary
        what = "new classes" if metric == "new" else "what was not trained on"
        if PLAIN in own.methods:
            lines.append(f"* {setting_title(setting)}, {what}: {_below(own, metric)}.")
    if lines:
        yield "## The paper's pattern"
        yield (
            "In the paper FedMVP is ahead of PromptFL and FedTPG on HM, PromptFL and FedMaPLe fall "
            "below zero-shot CLIP on new classes, and over unseen domains all but FedCLIP and "
            "FedMVP do. Here:"
        )
        yield "\n".join(lines)


def _duel(scores: SettingScores, rival: str) -> str:
    ours, theirs = scores.by_seed[FOCUS], scores.by_seed[rival]
    both = sorted(set(ours) & set(theirs))
    won = sum(ours[seed] > theirs[seed] for seed in both)
    gap = scores.primary(FOCUS).mean - scores.primary(rival).mean
    return (
        f"* {method_title(FOCUS)} against {method_title(rival)}: {points(gap)} points of "
        f"{scores.protocol.title(scores.protocol.primary)}, ahead in {won} of "
        f"{plural(len(both), 'seed')}."
    )


def _below(scores: SettingScores, metric: str) -> str:
    floor = scores.table[PLAIN][metric].mean
    gaps = {m: scores.table[m][metric].mean - floor for m in scores.methods if m in scores.trained}
    lost = [f"{method_title(m)} {points(gaps[m])}" for m in gaps if gaps[m] < 0]
    kept = [f"{method_title(m)} {points(gaps[m])}" for m in gaps if gaps[m] >= 0]
    return (
        f"below {method_title(PLAIN).lower()} are {', '.join(lost) or 'none'}; "
        f"not below are {', '.join(kept) or 'none'}"
    )


def _tuning_of(trained: Sequence[str]) -> Tuning | None:
    """Return the tuning record if the methods of the page went through it."""
    tuning = read_tuning()
    return tuning if tuning is not None and set(trained) == set(tuning.scores) else None


def study_of(params: Params) -> Study:
    """Return the results in results/ that params.yaml asks for."""
    run = params.run
    return load_study(
        Path("results"),
        partition_path(run.settings[0]).parent,
        Subject(params.profile, params.report.title or "FedMVP", run.suite, params.backbone.name),
        settings=run.settings,
        methods=(*run.zero_shot, *run.trained),
        seeds=run.seeds,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the page of params.yaml's profile."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--took", required=True, help='e.g. "38 minutes on two cores"')
    parser.add_argument("--out", type=Path, default=OUT)
    chosen = parser.parse_args(arguments)
    params = load_params()
    study = study_of(params)
    write_text(
        chosen.out, page(study, params, _tuning_of(params.run.trained), chosen.took, chosen.out)
    )
    print(chosen.out)


if __name__ == "__main__":
    run_stage(main)
