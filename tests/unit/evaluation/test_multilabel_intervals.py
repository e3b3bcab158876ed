"""Differences of two methods from the scores their runs kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import scenes_intervals
from fedmvp.errors import DataError
from fedmvp.evaluation.average_precision import average_precisions, mean_average_precision
from fedmvp.evaluation.multilabel import generalised_metrics
from fedmvp.evaluation.multilabel_intervals import Run, score_intervals
from fedmvp.partition.model import Target
from fedmvp.results.scores import VALIDATION, TargetScores, write_scores

pytestmark = pytest.mark.slow  # imports scikit-learn

CLASSES = ("ant", "bee", "cat", "dog")
SEEN = np.array([True, True, True, False])


def run(strength: float, seed: int, images: int = 120) -> Run:
    """Return scores that tell labels from noise as well as `strength` says."""
    parts = []
    for name, group, classes in (
        ("base", "global", CLASSES[:3]),
        ("gzsl", "gzsl", CLASSES),
        ("site", "local", CLASSES[:3]),
        ("site", VALIDATION, CLASSES[:3]),
    ):
        labels = np.random.default_rng(7).random((images, len(classes))) < 0.4
        noise = np.random.default_rng([seed, len(classes)]).normal(size=labels.shape)
        ids = tuple(f"toys/{number}" for number in range(images))
        target = Target(name, "main", group, "toys", None, classes, ids)
        scores = (strength * labels + noise).astype(np.float32)
        parts.append(TargetScores(target, scores, labels.astype(np.int8)))
    return parts


def test_differences_are_those_of_the_metrics() -> None:
    """Better scores in both seeds: intervals exclude zero; targets of clients are not compared."""
    ours, theirs = {1: run(2, 1), 2: run(2, 2)}, {1: run(0, 3), 2: run(0, 4)}
    found = score_intervals(ours, theirs, resamples=100)
    parts = ("main/global/toys/base", "main/gzsl/toys/gzsl")
    metrics = [(parts[0], "map"), (parts[1], "map"), (parts[1], "h")]
    assert set(found) == {(*key, seeds) for key in metrics for seeds in ((1,), (2,), (1, 2))}
    for seed in (1, 2):
        one, other = ours[seed][0], theirs[seed][0]
        values = [
            mean_average_precision(average_precisions(p.scores, p.labels)) for p in (one, other)
        ]
        assert found[parts[0], "map", (seed,)].difference == pytest.approx(values[0] - values[1])
        h = [
            generalised_metrics(p.scores, p.labels, SEEN)["h"]
            for p in (ours[seed][1], theirs[seed][1])
        ]
        assert found[parts[1], "h", (seed,)].difference == pytest.approx(h[0] - h[1])
    assert all(0 < interval.low <= interval.high for interval in found.values())
    both = [found[parts[0], "map", (seed,)].difference for seed in (1, 2)]
    assert found[parts[0], "map", (1, 2)].difference == pytest.approx(np.mean(both))


def test_a_method_that_is_not_trained_has_one_run() -> None:
    found = score_intervals({1: run(1, 1), 2: run(1, 2)}, {0: run(1, 3)}, resamples=5)
    assert {seeds for _, _, seeds in found} == {(1,), (2,), (1, 2)}


def test_runs_that_cannot_be_compared() -> None:
    ours = {1: run(1, 1)}
    with pytest.raises(DataError, match="the methods share no seed"):
        score_intervals(ours, {2: run(1, 1), 3: run(1, 1)})
    with pytest.raises(DataError, match="a run has no such target; got 'main/global/toys/base'"):
        score_intervals(ours, {1: run(1, 1)[1:]})
    others = [replace(part, labels=1 - part.labels) for part in run(1, 1)]
    with pytest.raises(DataError, match="not of the same images, classes and labels"):
        score_intervals(ours, {1: others})
    with pytest.raises(DataError, match="not of the same images, classes and labels"):
        score_intervals(ours, {1: run(1, 1, images=119)})


def test_the_table_is_read_from_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for method, strength in (("fedmvp", 2.0), ("zero_shot_combined", 0.0)):
        folder = tmp_path / "results/sites" / method / "seed1"
        folder.mkdir(parents=True)
        write_scores(folder / "scores.safetensors", run(strength, 1))
    monkeypatch.setattr("sys.argv", ["scenes_intervals", "sites"])
    scenes_intervals.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "fedmvp minus zero_shot_combined, in points"
    assert len(lines) == 4 and all(line.endswith("above") for line in lines[1:])
    with pytest.raises(DataError, match="no run kept scores"):
        scenes_intervals.runs_of("sites", "promptfl")
