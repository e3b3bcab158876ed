"""Intervals against a loop that repeats images literally, and against known differences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from fedmvp.evaluation import bootstrap
from fedmvp.evaluation.bootstrap import Correct, Interval, difference_intervals
from fedmvp.evaluation.metrics import metrics_of
from fedmvp.results.predictions import LabelledTarget
from fedmvp.seeds import numpy_generator

Runs = Mapping[int, Correct]
RESAMPLES = 60


def target(group: str, name: str, dataset: str, images: str, fold: str = "f") -> LabelledTarget:
    """Image ``b3`` shows class ``b``."""
    ids = tuple(images.split())
    return LabelledTarget(fold, group, name, dataset, ids, tuple(i[0] for i in ids))


# Client p2 has two images of one class, so there are draws without any of them.
BASE_TO_NEW = (
    target("local", "p1", "pets", "a1 a2 a3 b1 b2"),
    target("local", "p2", "pets", "c1 c2"),
    target("base", "pets", "pets", "a1 a2 a3 b1 b2 c1 c2"),
    target("new", "pets", "pets", "x1 x2 y1 y2"),
    target("local", "c1", "cars", "a1 a2 b1"),
    target("base", "cars", "cars", "b1 a2 a1"),
    target("new", "cars", "cars", "x1 x2 x3"),
)
# Sketches are tested in two folds, and span two datasets; the source is in no metric.
TRANSFER = (
    target("target", "sketch", "pets", "a1 a2 b1 b2 b3", "one"),
    target("target", "photo", "pets", "a7 b7 b8", "one"),
    target("target", "sketch", "cars", "a1 b1 c1", "one"),
    target("target", "again", "pets", "b3 b2 b1 a2 a1", "two"),
    target("source", "pets", "pets", "a1 a9", "two"),
)
WORLDS = {"base_to_new": BASE_TO_NEW, "transfer": TRANSFER}


def draw(targets: Sequence[LabelledTarget], seed: int, share: float = 0.6) -> Correct:
    generator = np.random.default_rng(seed)
    return [generator.random(len(t.images)) < share for t in targets]


def drawn_units(
    protocol: str, targets: Sequence[LabelledTarget], kind: Literal["images", "classes"]
) -> list[dict[tuple[str, str], int]]:
    """Return, for each resample, how often each (dataset, image or class) was drawn."""
    tested = [t for t in targets if t.group != "source"]
    counts: list[dict[tuple[str, str], int]] = [Counter() for _ in range(RESAMPLES)]
    for dataset in sorted({t.dataset for t in tested}):
        own = [t for t in tested if t.dataset == dataset]
        units = sorted({u for t in own for u in (t.images if kind == "images" else t.labels)})
        inside = {u: tuple(u in t.images for t in own) for u in units}
        if kind == "classes" or protocol == "base_to_new":
            inside = dict.fromkeys(units, ())
        for number, key in enumerate(sorted(set(inside.values()))):
            stratum = [u for u in units if inside[u] == key]
            generator = numpy_generator(0, "bootstrap", kind, dataset, number)
            rows = generator.integers(0, len(stratum), size=(RESAMPLES, len(stratum)))
            for count, row in zip(counts, rows, strict=True):
                for place in row:
                    count[dataset, stratum[place]] += 1
    return counts


def looped(
    protocol: str, targets: Sequence[LabelledTarget], ours: Runs, theirs: Runs, metric: str
) -> Interval:
    """Return the interval by repeating every image as often as it was drawn."""
    seeds = [seed for seed in ours if seed in theirs]

    def value(run: Correct, times: Any) -> float:
        rows = []
        for t, correct in zip(targets, run, strict=True):
            answers = [
                right
                for image, label, right in zip(t.images, t.labels, correct, strict=True)
                for _ in range(times(t, image, label))
            ]
            accuracy = fmean(answers or correct)
            rows.append(
                {
                    "fold": t.fold,
                    "group": t.group,
                    "name": t.name,
                    "dataset": t.dataset,
                    "accuracy": accuracy,
                }
            )
        return metrics_of(protocol, rows)[metric]

    def difference(times: Any) -> float:
        return fmean(value(ours[s], times) - value(theirs[s], times) for s in seeds)

    ends = {}
    for kind in ("images", "classes"):
        found = [
            difference(
                lambda t, image, label, c=count, k=kind: (
                    1 if t.group == "source" else c[t.dataset, image if k == "images" else label]
                )
            )
            for count in drawn_units(protocol, targets, kind)
        ]
        ends[kind] = tuple(np.quantile(found, (0.025, 0.975)))
    kind = max(ends, key=lambda k: ends[k][1] - ends[k][0])
    return Interval(difference(lambda *_: 1), *ends[kind], kind)


@pytest.mark.parametrize("protocol", WORLDS)
@pytest.mark.parametrize("chunk", [1, 10**7])
def test_a_loop_gives_the_same(protocol: str, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the size of the chunks; a target none of whose images was drawn keeps its value."""
    monkeypatch.setattr(bootstrap, "_CHUNK_BYTES", chunk)
    targets = WORLDS[protocol]
    ours = {seed: draw(targets, seed, 0.7) for seed in (1, 2, 3)}
    others = {"zero": dict.fromkeys((1, 2, 3), draw(targets, 9)), "one": {2: draw(targets, 5)}}
    found = difference_intervals(protocol, targets, ours, others, resamples=RESAMPLES)
    metrics = {
        "base_to_new": ["local", "base", "new", "hm"],
        "transfer": ["mean", "sketch", "photo", "again"],
    }[protocol]
    assert {name: list(by_metric) for name, by_metric in found.items()} == {
        "zero": metrics,
        "one": metrics,
    }
    for name, by_metric in found.items():
        for metric, interval in by_metric.items():
            expected = looped(protocol, targets, ours, others[name], metric)
            assert interval.kind == expected.kind
            assert (interval.difference, interval.low, interval.high) == pytest.approx(
                (expected.difference, expected.low, expected.high), abs=1e-12
            )


def test_equal_methods_differ_by_nothing_and_strangers_are_left_out() -> None:
    run = draw(BASE_TO_NEW, 1)
    ours = {1: run, 2: draw(BASE_TO_NEW, 2)}
    found = difference_intervals(
        "base_to_new", BASE_TO_NEW, ours, {"same": ours, "stranger": {7: run}}
    )
    assert found.keys() == {"same"}
    assert set(found["same"].values()) == {Interval(0.0, 0.0, 0.0, "images")}
    assert difference_intervals("base_to_new", BASE_TO_NEW, ours, {"stranger": {7: run}}) == {}


def test_the_same_input_gives_the_same_numbers() -> None:
    ours, others = {1: draw(TRANSFER, 1)}, {"other": {1: draw(TRANSFER, 2)}}
    first = difference_intervals("transfer", TRANSFER, ours, others)
    assert difference_intervals("transfer", TRANSFER, ours, others) == first


def one_target(classes: int, images: int) -> tuple[LabelledTarget]:
    """Return a target with `images` images of each class."""
    pairs = [(f"c{c:02d}", f"c{c:02d}-{i}") for c in range(classes) for i in range(images)]
    return (
        LabelledTarget(
            "f", "target", "t", "d", tuple(i for _, i in pairs), tuple(c for c, _ in pairs)
        ),
    )


def mean_interval(
    targets: Sequence[LabelledTarget], ours: NDArray[np.bool_], theirs: NDArray[np.bool_]
) -> Interval:
    found = difference_intervals(
        "transfer", targets, {1: [ours]}, {"o": {1: [theirs]}}, resamples=400
    )
    return found["o"]["mean"]


def test_an_interval_holds_the_true_difference_as_often_as_it_says() -> None:
    """Images are independent, 0.4 / 0.7 of them recognised against 0.3 / 0.7: of intervals 95 %
    hold the difference, of the wider of two more; three standard errors of 300 are 3.8 %."""
    generator = np.random.default_rng(1)
    targets = one_target(classes=40, images=5)
    held = 0
    for _ in range(300):
        hard = generator.random(200)  # shared, as methods find the same images hard
        ours = 0.7 * hard + 0.3 * generator.random(200)
        theirs = 0.7 * hard + 0.3 * generator.random(200)
        interval = mean_interval(targets, ours < 0.55, theirs < 0.45)
        truth = recognised(0.55) - recognised(0.45)
        held += interval.low <= truth <= interval.high
    assert 0.91 <= held / 300 <= 1.0


def recognised(x: float) -> float:
    """Return P(0.7 u + 0.3 v < x) of independent uniform u and v, for 0.3 <= x <= 0.7."""
    return (x - 0.15) / 0.7


def test_errors_that_share_a_class_widen_the_interval() -> None:
    """30 classes, each wholly better, wholly worse or level: images of a class say the same."""
    generator = np.random.default_rng(2)
    targets = one_target(classes=30, images=10)
    held, wider = 0, 0
    for _ in range(100):
        ours = np.repeat(generator.random(30) < 0.6, 10)
        theirs = np.repeat(generator.random(30) < 0.5, 10)
        interval = mean_interval(targets, ours, theirs)
        held += interval.low <= 0.1 <= interval.high
        wider += interval.kind == "classes"
        # √10 times the width of as many independent images.
        naive = 2 * 1.96 * np.std(ours.astype(float) - theirs) / np.sqrt(300)
        assert 2.3 * naive < interval.high - interval.low < 4.2 * naive
    assert wider == 100
    assert held >= 86
