"""Means and standard deviations over seeds, ranks, and what they say about FedMVP."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from fedmvp.errors import DataError
from fedmvp.report.format import percent
from fedmvp.report.protocols import Protocol, split_metric
from fedmvp.results.runs import Run

__all__ = ["Estimate", "SettingScores", "Verdict", "estimate", "rank", "score_setting", "verdict"]

# Two means (fractions) that differ by less look the same in print and share a rank.
_RESOLUTION = 6
FOCUS = "fedmvp"


@dataclass(frozen=True)
class Estimate:
    """Mean over seeds, sample standard deviation (None for one seed) and the number of seeds."""

    mean: float
    std: float | None
    seeds: int


def estimate(values: Sequence[float]) -> Estimate:
    """Return mean and sample standard deviation (divisor n - 1) of at least one value."""
    mean = math.fsum(values) / len(values)
    if len(values) == 1:
        return Estimate(mean, None, 1)
    variance = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return Estimate(mean, math.sqrt(variance), len(values))


@dataclass(frozen=True)
class SettingScores:
    """All scores of one setting.

    Attributes
    ----------
    methods : tuple of str
        Methods with results, in the order of the params.
    trained : frozenset of str
        Those of `methods` that were trained.
    table : mapping of method to mapping of metric key to Estimate
    parts : mapping of headline metric (empty string: none) to part names
        Datasets of base-to-new metrics; targets of transfer metrics; in the order of evaluation.
    by_seed : mapping of method to mapping of seed to primary metric
    """

    setting: str
    protocol: Protocol
    methods: tuple[str, ...]
    trained: frozenset[str]
    table: Mapping[str, Mapping[str, Estimate]]
    parts: Mapping[str, tuple[str, ...]]
    by_seed: Mapping[str, Mapping[int, float]]

    def primary(self, method: str) -> Estimate:
        """Return the estimate of the metric by which methods are ranked."""
        return self.table[method][self.protocol.primary]

    @property
    def phrase(self) -> str:
        """Name of the primary metric within a sentence."""
        title = self.title(self.protocol.primary)
        return self.protocol.primary_phrase + title.removeprefix(
            self.protocol.title(self.protocol.primary)
        )

    def title(self, key: str) -> str:
        """Return the title of a headline metric, with the score of a random order."""
        metric = self.protocol.metric(key)
        if not metric.chance:
            return metric.title
        chance = self.table[self.methods[0]][metric.chance].mean
        return f"{metric.title} (prevalence {percent(chance, 1)}\N{NO-BREAK SPACE}%)"


def score_setting(
    setting: str, protocol: Protocol, runs: Sequence[Run], part_order: Sequence[str]
) -> SettingScores:
    """Gather the scores of all methods in a setting.

    Parameters
    ----------
    part_order : sequence of str
        Datasets and targets in the order in which to list them; others follow alphabetically.

    Raises
    ------
    DataError
        When a headline metric is missing, or the seeds of a method disagree on the metrics.
    """
    protocol = _with_its_metrics(protocol, runs)
    methods = tuple(dict.fromkeys(run.method for run in runs))
    grouped = {method: [run for run in runs if run.method == method] for method in methods}
    table = {method: _estimates(protocol, own) for method, own in grouped.items()}
    keys = sorted({key for row in table.values() for key in row})
    headline = {metric.key for metric in protocol.metrics}
    parts: dict[str, list[str]] = {}
    for key in keys:
        if key not in headline:
            parent, part = split_metric(key, keys)
            parts.setdefault(parent, []).append(part)
    position = {name: index for index, name in enumerate(dict.fromkeys(part_order))}
    return SettingScores(
        setting=setting,
        protocol=protocol,
        methods=methods,
        trained=frozenset(run.method for run in runs if run.trained),
        table=table,
        parts={
            parent: tuple(sorted(names, key=lambda n: (position.get(n, len(position)), n)))
            for parent, names in parts.items()
        },
        by_seed={
            method: {run.seed: run.metrics[protocol.primary] for run in own}
            for method, own in grouped.items()
        },
    )


def _with_its_metrics(protocol: Protocol, runs: Sequence[Run]) -> Protocol:
    """Return the protocol without the optional metrics that no run has."""
    known = {key for run in runs for key in run.metrics}
    shown = tuple(m for m in protocol.metrics if not m.optional or m.key in known)
    return protocol if shown == protocol.metrics else replace(protocol, metrics=shown)


def _estimates(protocol: Protocol, runs: Sequence[Run]) -> dict[str, Estimate]:
    first = runs[0]
    for run in runs:
        for metric in protocol.metrics:
            if metric.key not in run.metrics:
                raise DataError(
                    f"metric {metric.key!r} is missing",
                    where=run.metrics_path,
                    hint="run `dvc repro evaluate` to build it again",
                )
        if differing := sorted(set(run.metrics) ^ set(first.metrics)):
            raise DataError(
                f"its metrics are not those of {first.metrics_path}",
                where=run.metrics_path,
                value=differing[0],
                hint="run `dvc repro` to evaluate all seeds alike",
            )
    return {key: estimate([run.metrics[key] for run in runs]) for key in first.metrics}


def rank(means: Mapping[str, float]) -> dict[str, float]:
    """Rank methods by mean, best is 1; equal means share the average of their ranks."""
    rounded = {method: round(mean, _RESOLUTION) for method, mean in means.items()}
    values = list(rounded.values())
    return {
        method: 1 + sum(other > value for other in values) + (values.count(value) - 1) / 2
        for method, value in rounded.items()
    }


@dataclass(frozen=True)
class Verdict:
    """How the method in focus compares with the best untrained method of a setting.

    Attributes
    ----------
    focus : str
        FedMVP if it was run, else the best method.
    reference : str or None
        The untrained method with the highest mean, if there is one besides `focus`.
    difference : float or None
        Mean of focus minus mean of reference, in fractions.
    wins, pairs : int
        Seeds in which focus scores above the reference, of the seeds both have.
    rank, of : float, int
        Rank of focus by mean among all methods.
    """

    scores: SettingScores
    focus: str
    reference: str | None
    difference: float | None
    wins: int
    pairs: int
    rank: float
    of: int


def verdict(scores: SettingScores) -> Verdict:
    """Compare the method in focus with the best untrained one; the data decides the sign."""
    means = {method: scores.primary(method).mean for method in scores.methods}
    focus = FOCUS if FOCUS in means else _best(scores.methods, means)
    untrained = [m for m in scores.methods if m not in scores.trained and m != focus]
    reference = _best(untrained, means) if untrained else None
    difference, pairs = None, []
    if reference is not None:
        difference = means[focus] - means[reference]
        ours, theirs = scores.by_seed[focus], scores.by_seed[reference]
        pairs = [ours[seed] > theirs[seed] for seed in ours if seed in theirs]
    return Verdict(
        scores=scores,
        focus=focus,
        reference=reference,
        difference=difference,
        wins=sum(pairs),
        pairs=len(pairs),
        rank=rank(means)[focus],
        of=len(means),
    )


def _best(methods: Iterable[str], means: Mapping[str, float]) -> str:
    return max(methods, key=lambda method: means[method])
