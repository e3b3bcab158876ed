"""The method in focus against every other one: differences and their intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from fedmvp.errors import DataError
from fedmvp.evaluation.bootstrap import Correct, Interval, difference_intervals
from fedmvp.partition.setting_spec import NOT_TRANSFERRED
from fedmvp.report.estimates import SettingScores, verdict
from fedmvp.report.multilabel_intervals import multilabel_intervals
from fedmvp.report.study import Study
from fedmvp.results.files import PREDICTIONS
from fedmvp.results.key import RunKey
from fedmvp.results.predictions import LabelledTarget, read_predictions

__all__ = ["Comparison", "Comparisons", "compare", "direction", "interval_of", "significance"]


@dataclass(frozen=True)
class Comparison:
    """One method against another in one metric of a setting, over the seeds both have.

    Attributes
    ----------
    metric : str
        A headline metric or, in transfer settings, the name of a target.
    difference : float
        Method minus reference, a fraction, mean over these seeds.
    interval : Interval or None
        None if a run has no predictions.csv, as in older results.
    wins, seeds : int
        Seeds in which the method scores above the reference, of the seeds both have.
    """

    setting: str
    metric: str
    method: str
    reference: str
    difference: float
    interval: Interval | None
    wins: int
    seeds: int


Comparisons = Mapping[tuple[str, str, str], Comparison]
"""By setting, metric and reference, in the order of the page; the best zero-shot method first."""


def compare(study: Study, results_dir: Path) -> Comparisons:
    """Compare the method in focus of each setting with all others.

    Methods that share no seed with it are left out.

    Raises
    ------
    DataError
        When a predictions.csv is not as declared, or has other images than the others.
    """
    return {
        (found.setting, found.metric, found.reference): found
        for setting in study.scores
        for found in _compared(study, setting, results_dir)
    }


def _compared(study: Study, setting: str, results_dir: Path) -> Iterator[Comparison]:
    scores = study.scores[setting]
    result = verdict(scores)
    rest = [m for m in scores.methods if m not in (result.focus, result.reference)]
    others = [result.reference, *rest] if result.reference is not None else rest
    runs = {m: {run.seed: run for run in study.runs_of(setting, m)} for m in scores.methods}
    ours = runs[result.focus]
    intervals = _intervals(study, setting, result.focus, others, results_dir)
    for other in others:
        theirs = runs[other]
        seeds = [seed for seed in ours if seed in theirs]
        for metric in _metrics(study, setting) if seeds else ():
            pairs = [(ours[seed].metrics[metric], theirs[seed].metrics[metric]) for seed in seeds]
            yield Comparison(
                setting=setting,
                metric=metric,
                method=result.focus,
                reference=other,
                difference=fmean(mine - their for mine, their in pairs),
                interval=intervals.get(other, {}).get(metric),
                wins=sum(mine > their for mine, their in pairs),
                seeds=len(seeds),
            )


def _metrics(study: Study, setting: str) -> list[str]:
    """Return the headline metrics and, in transfer settings, every target not trained on."""
    protocol = study.scores[setting].protocol
    headline = [metric.key for metric in protocol.scored]
    if protocol.part != "target":
        return headline
    known = study.scores[setting].parts.get("", ())
    targets = (t.name for t in study.partitions[setting].targets if t.group not in NOT_TRANSFERRED)
    return [*headline, *dict.fromkeys(name for name in targets if name in known)]


def _intervals(
    study: Study, setting: str, focus: str, others: Sequence[str], results_dir: Path
) -> Mapping[str, Mapping[str, Interval]]:
    """Return intervals by other method and metric, for pairs whose predictions are complete."""
    if study.partitions[setting].task == "multi":
        folders = {
            m: {
                r.seed: results_dir / setting / m / f"seed{r.seed}"
                for r in study.runs_of(setting, m)
            }
            for m in (focus, *others)
        }
        rest = {method: folders[method] for method in others}
        return multilabel_intervals(study.partitions[setting], folders[focus], rest)
    targets, known = _read(study, setting, results_dir)
    seeds = {m: {run.seed for run in study.runs_of(setting, m)} for m in (focus, *others)}
    ours = known.get(focus, {})
    complete = {
        method: known[method]
        for method in others
        if method in known and seeds[focus] & seeds[method] <= ours.keys() & known[method].keys()
    }
    return difference_intervals(study.scores[setting].protocol.name, targets, ours, complete)


def _read(
    study: Study, setting: str, results_dir: Path
) -> tuple[Sequence[LabelledTarget], dict[str, dict[int, Correct]]]:
    """Return the targets, and which images each run classified correctly, as far as known.

    Only the first run's names are kept: those of all runs would fill the memory.
    """
    targets: Sequence[LabelledTarget] = ()
    first: Path | None = None
    known: dict[str, dict[int, Correct]] = {}
    for run in (run for run in study.runs if run.setting == setting):
        path = RunKey(setting, run.method, run.seed).folder(results_dir) / PREDICTIONS
        if not path.exists():
            continue
        answers = read_predictions(path, [vars(target) for target in run.targets])
        if first is None:
            first, targets = path, answers.targets
        elif answers.targets != targets:
            raise DataError(
                f"not of the images of {first.relative_to(results_dir).as_posix()}",
                where=path,
                hint="run `dvc repro` to evaluate all alike",
            )
        known.setdefault(run.method, {})[run.seed] = answers.correct
    return targets, known


def interval_of(
    comparisons: Comparisons, scores: SettingScores, metric: str, method: str, reference: str
) -> Interval | None:
    """Return the interval of the difference of two means, None if it is that of another difference.

    Means are taken over all seeds of a method, intervals over the seeds both have.
    """
    found = comparisons.get((scores.setting, metric, reference))
    if found is None or found.method != method:
        return None
    shown = scores.table[method][metric].mean - scores.table[reference][metric].mean
    return found.interval if abs(found.difference - shown) < 5e-7 else None


def direction(difference: float | None) -> str:
    """Return ``up``, ``down`` or ``level``; a difference that prints as 0.00 points is level."""
    rounded = round(100 * (difference or 0.0), 2)
    return "up" if rounded > 0 else "down" if rounded < 0 else "level"


def significance(interval: Interval) -> str:
    """Return ``up`` or ``down`` for an interval on that side of zero, else ``level``."""
    ends = {direction(interval.low), direction(interval.high)}
    return ends.pop() if len(ends) == 1 else "level"
