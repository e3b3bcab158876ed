"""Intervals of the difference between two methods: a paired bootstrap over test images.

Test images are resampled with replacement, many times, and each time both methods are scored on the
same sample: what makes an image easy or hard for both cancels. The middle 95 % of the differences
are the interval. Resampling is done in two ways, and the wider interval is used:

* **images** within a dataset, in transfer settings within a target. An image that occurs in several
  targets (a client's own and the base classes', or one style in several folds) counts the same in
  all of them.
* **classes** within a dataset, with all their images: errors go with classes, so images of one
  class tell less than the same number of images of different ones.

A metric is averaged over the seeds that both methods have. The interval does not include the
variation between training seeds.

Shapes: R resamples, U units that are drawn (images or classes), T targets, C runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fedmvp.partition.setting_spec import NOT_TRANSFERRED
from fedmvp.results.predictions import LabelledTarget
from fedmvp.seeds import numpy_generator

__all__ = [
    "LEVEL",
    "RESAMPLES",
    "Correct",
    "Interval",
    "difference_intervals",
    "metric_intervals",
]

RESAMPLES = 2000
LEVEL = 0.95

Correct = Sequence[NDArray[np.bool_]]
"""Which images of each target a run classified correctly, in the order of targets and images."""

_Kind = Literal["images", "classes"]
_Floats = NDArray[np.float64]
_SEED = 0
_CHUNK_BYTES = 16 * 2**20  # of one chunk's weights; a few arrays of this size exist at a time
_BLOCK = 2**18  # multiplications of a product below which OpenBLAS starts no second thread
_BASE_TO_NEW = ("local", "base", "new")


@dataclass(frozen=True)
class Interval:
    """The difference of two methods in a metric, a fraction, and its interval.

    Attributes
    ----------
    difference : float
        On the test images as they are, averaged over seeds.
    low, high : float
        Ends of the 95 % percentile interval.
    kind : {"images", "classes"}
        What was resampled: the choice with the wider interval.
    """

    difference: float
    low: float
    high: float
    kind: _Kind


@dataclass(frozen=True)
class _Drawn:
    """A target's images, grouped by the units that are resampled.

    Attributes
    ----------
    units : ndarray of int
        The dataset's units that have images in this target.
    sums : ndarray of float, shape [1 + C, units here]
        Images of each unit, and how many of them each run classified correctly.
    """

    units: NDArray[np.intp]
    sums: _Floats


def difference_intervals(
    protocol: str,
    targets: Sequence[LabelledTarget],
    ours: Mapping[int, Correct],
    others: Mapping[str, Mapping[int, Correct]],
    *,
    resamples: int = RESAMPLES,
) -> dict[str, dict[str, Interval]]:
    """Compare one method with others in every headline metric of a setting.

    Equal input gives equal numbers.

    Parameters
    ----------
    protocol : {"base_to_new", "transfer"}
    targets : sequence of LabelledTarget
        Of a partition. A transfer setting's ``source`` and ``local`` are in no metric.
    ours : mapping of seed to Correct
    others : mapping of method to mapping of seed to Correct

    Returns
    -------
    dict of method to dict of metric to Interval
        Ours minus theirs, in local, base, new and hm, or in the mean and every target by its name.
        A method that shares no seed with ours is left out.
    """
    left_out = NOT_TRANSFERRED if protocol == "transfer" else ()
    tested = [number for number, target in enumerate(targets) if target.group not in left_out]
    chosen = [targets[number] for number in tested]
    pairs = {name: sorted(ours.keys() & theirs.keys()) for name, theirs in others.items()}
    pairs = {name: seeds for name, seeds in pairs.items() if seeds}
    runs: dict[bytes, list[NDArray[np.bool_]]] = {}

    def column(run: Correct) -> int:
        """Return the column of a run; equal runs, as of a zero-shot method's seeds, share one."""
        parts = [run[number] for number in tested]
        key = b"".join(part.tobytes() for part in parts)
        runs.setdefault(key, parts)
        return list(runs).index(key)

    columns = {
        name: (
            [column(ours[seed]) for seed in seeds],
            [column(others[name][seed]) for seed in seeds],
        )
        for name, seeds in pairs.items()
    }
    if not columns:
        return {}
    correct = [np.column_stack(parts) for parts in zip(*runs.values(), strict=True)]
    observed = np.stack([part.mean(axis=0) for part in correct])[..., np.newaxis]
    exact = _metrics(protocol, chosen, observed)
    kinds: tuple[_Kind, ...] = ("images", "classes")
    drawn = {
        kind: _metrics(protocol, chosen, _resampled(protocol, chosen, correct, kind, resamples))
        for kind in kinds
    }
    found: dict[str, dict[str, Interval]] = {}
    for name, (mine, theirs) in columns.items():
        for metric, value in exact.items():
            ends = {kind: _ends(drawn[kind][metric], mine, theirs) for kind in kinds}
            # If both are equally wide, the first is named.
            widest = max(kinds, key=lambda kind: ends[kind][1] - ends[kind][0])
            difference = fmean((value[mine, 0] - value[theirs, 0]).tolist())
            found.setdefault(name, {})[metric] = Interval(difference, *ends[widest], widest)
    return found


def metric_intervals(
    protocol: str, targets: Sequence[LabelledTarget], correct: Correct
) -> dict[str, Interval]:
    """Return the headline metrics of one run, as differences from a run with no correct image."""
    nothing = [np.zeros_like(part) for part in correct]
    return difference_intervals(protocol, targets, {0: correct}, {"": {0: nothing}})[""]


def _ends(values: _Floats, mine: Sequence[int], theirs: Sequence[int]) -> tuple[float, float]:
    """Return the interval's ends for values [C, R]; the i-th runs of both form a pair."""
    differences = (values[mine] - values[theirs]).mean(axis=0)
    low, high = np.quantile(differences, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return float(low), float(high)


def _resampled(
    protocol: str,
    targets: Sequence[LabelledTarget],
    correct: Sequence[NDArray[np.bool_]],
    kind: _Kind,
    resamples: int,
) -> _Floats:
    """Return the accuracy of every run on every target in every resample, [T, C, R]."""
    accuracy = np.empty((len(targets), correct[0].shape[1], resamples))
    for dataset in sorted({target.dataset for target in targets}):
        own = [number for number, target in enumerate(targets) if target.dataset == dataset]
        names = [targets[n].images if kind == "images" else targets[n].labels for n in own]
        place = {name: unit for unit, name in enumerate(sorted({n for t in names for n in t}))}
        members = [np.array([place[name] for name in part], dtype=np.intp) for part in names]
        parts = [_drawn(units, correct[n]) for units, n in zip(members, own, strict=True)]
        together = kind == "classes" or protocol == "base_to_new"
        strata = [np.arange(len(place))] if together else _strata(members, len(place))
        start = 0
        for weights in _weights(strata, len(place), (kind, dataset), resamples):
            stop = start + weights.shape[1]
            for number, part in zip(own, parts, strict=True):
                accuracy[number, :, start:stop] = _accuracy(weights, part)
            start = stop
    return accuracy


def _drawn(units: NDArray[np.intp], correct: NDArray[np.bool_]) -> _Drawn:
    here, place = np.unique(units, return_inverse=True)
    sums = np.zeros((len(here), 1 + correct.shape[1]))
    np.add.at(sums, place, np.column_stack([np.ones(len(units)), correct]))
    return _Drawn(here, np.ascontiguousarray(sums.T))


def _strata(members: Sequence[NDArray[np.intp]], units: int) -> list[NDArray[np.intp]]:
    """Return units grouped by the targets they occur in, so that targets keep their size."""
    inside = np.zeros((units, len(members)), dtype=bool)
    for number, part in enumerate(members):
        inside[part, number] = True
    _, stratum = np.unique(inside, axis=0, return_inverse=True)
    return [np.flatnonzero(stratum == number) for number in range(int(stratum.max()) + 1)]


def _weights(
    strata: Sequence[NDArray[np.intp]], units: int, key: tuple[str, str], resamples: int
) -> Iterator[_Floats]:
    """Yield how often each unit was drawn, [U, resamples of a chunk], within its stratum."""
    size = max(1, _CHUNK_BYTES // (8 * units))
    draws = [numpy_generator(_SEED, "bootstrap", *key, number) for number in range(len(strata))]
    for start in range(0, resamples, size):
        rows = min(size, resamples - start)
        weights = np.zeros((units, rows))
        for members, generator in zip(strata, draws, strict=True):
            count = len(members)
            drawn = generator.integers(0, count, size=(rows, count))
            drawn += count * np.arange(rows)[:, np.newaxis]
            times = np.bincount(drawn.ravel(), minlength=rows * count)
            weights[members] = times.reshape(rows, count).T
        yield weights


def _accuracy(weights: _Floats, part: _Drawn) -> _Floats:
    """Return accuracies [C, resamples of a chunk]; the observed ones where no image was drawn."""
    # Sums of whole numbers are exact in any order, so threads do not change the result.
    sums = _product(part.sums, weights[part.units])
    total = part.sums.sum(axis=1, keepdims=True)
    sums = np.where(sums[0] > 0, sums, total)
    accuracy: _Floats = sums[1:] / sums[0]
    return accuracy


def _product(left: _Floats, right: _Floats) -> _Floats:
    """Return the matrix product, computed in blocks of columns.

    BLAS computes small products in one thread. On a busy machine, waiting for a second thread would
    take ten times as long as everything else.
    """
    width = max(_BLOCK // left.size, 16)
    parts = [left @ right[:, i : i + width] for i in range(0, right.shape[1], width)]
    return np.concatenate(parts, axis=1)


def _metrics(
    protocol: str, targets: Sequence[LabelledTarget], accuracy: _Floats
) -> dict[str, _Floats]:
    """Return the headline metrics, [C, R] each, by the rules of `fedmvp.evaluation.metrics`."""
    if protocol == "base_to_new":
        found = {
            group: _mean(accuracy, [n for n, t in enumerate(targets) if t.group == group], targets)
            for group in _BASE_TO_NEW
        }
        return {**found, "hm": _harmonic_mean(np.stack([found[group] for group in _BASE_TO_NEW]))}
    names = dict.fromkeys(target.name for target in targets)
    found = {
        name: _mean(accuracy, [n for n, t in enumerate(targets) if t.name == name], targets)
        for name in names
    }
    return {"mean": np.mean([found[name] for name in names], axis=0), **found}


def _mean(accuracy: _Floats, chosen: Sequence[int], targets: Sequence[LabelledTarget]) -> _Floats:
    """Return the mean over datasets of each one's mean over its targets, [C, R]."""
    by_dataset: dict[str, list[int]] = {}
    for number in chosen:
        by_dataset.setdefault(targets[number].dataset, []).append(number)
    means = [accuracy[numbers].mean(axis=0) for numbers in by_dataset.values()]
    mean: _Floats = np.mean(means, axis=0)
    return mean


def _harmonic_mean(parts: _Floats) -> _Floats:
    """Return n / Σ 1/v over the first axis, and 0 where a part is 0."""
    positive = (parts > 0).all(axis=0)
    safe = np.where(parts > 0, parts, 1.0)
    mean: _Floats = np.where(positive, len(parts) / (1 / safe).sum(axis=0), 0.0)
    return mean
