"""Differences of two methods, seed by seed, from the scores their runs kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import scenes_intervals
from fedmvp.errors import DataError
from fedmvp.evaluation.average_precision import average_precisions, mean_average_precision
from fedmvp.evaluation.multilabel import generalised_metrics
from fedmvp.partition.model import Client, Partition, Target
from fedmvp.report.multilabel_intervals import multilabel_intervals
from fedmvp.results.scores import TargetScores, write_scores

pytestmark = pytest.mark.slow  # imports scikit-learn

CLASSES = ("ant", "bee", "cat", "dog")
IMAGES = tuple(f"toys/{number}" for number in range(120))
TARGETS = (
    Target("base", "main", "global", "toys", None, CLASSES[:3], IMAGES),
    Target("gzsl", "main", "gzsl", "toys", None, CLASSES, IMAGES),
)


def scores(strength: float, seed: int) -> list[TargetScores]:
    """Return scores that tell labels from noise as well as `strength` says."""
    parts = []
    for target in TARGETS:
        shape = len(IMAGES), len(target.classes)
        labels = np.random.default_rng(7).random(shape) < 0.4
        noise = np.random.default_rng([seed, shape[1]]).normal(size=shape)
        found = (strength * labels + noise).astype(np.float32)
        parts.append(TargetScores(target, found, labels.astype(np.int8)))
    return parts


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[int, Path]]:
    """Two methods with two seeds each, of which one is far better."""
    monkeypatch.chdir(tmp_path)
    for method, strength in (("fedmvp", 2.0), ("zero_shot_combined", 0.0)):
        for seed in (1, 2):
            folder = Path("results/sites") / method / f"seed{seed}"
            folder.mkdir(parents=True)
            write_scores(folder / "scores.safetensors", scores(strength, seed))
    names = ("fedmvp", "zero_shot_combined")
    return {name: scenes_intervals.runs_of("sites", name) for name in names}


def partition() -> Partition:
    client = Client("c", "main", "toys", None, CLASSES[:3], IMAGES[:1])
    return Partition("sites", "multilabel", "by_image", (client,), TARGETS, task="multi")


def test_differences_are_those_of_the_metrics(runs: dict[str, dict[int, Path]]) -> None:
    """Averaged over seeds; h is of the classes clients train on and of the others."""
    ours = runs["fedmvp"]
    found = multilabel_intervals(partition(), ours, runs)["zero_shot_combined"]
    seen = np.array([True, True, True, False])
    values: dict[str, list[float]] = {"map": [], "map_gzsl": [], "h": []}
    for strength, sign in ((2.0, 1), (0.0, -1)):
        for seed in (1, 2):
            base, gzsl = scores(strength, seed)
            first = mean_average_precision(average_precisions(base.scores, base.labels))
            both = generalised_metrics(gzsl.scores, gzsl.labels, seen)
            for name, value in (("map", first), ("map_gzsl", both["map"]), ("h", both["h"])):
                values[name].append(sign * value / 2)
    assert {name: i.difference for name, i in found.items()} == pytest.approx(
        {name: sum(parts) for name, parts in values.items()}
    )
    assert all(0 < i.low < i.difference < i.high for i in found.values())
    own = multilabel_intervals(partition(), ours, runs)["fedmvp"]
    assert {(i.difference, i.low, i.high) for i in own.values()} == {(0, 0, 0)}


def test_damaged_scores_are_told(runs: dict[str, dict[int, Path]]) -> None:
    damaged = scores(1.0, 1)
    damaged[1].labels[3, 2] = 7
    write_scores(runs["fedmvp"][1] / "scores.safetensors", damaged)
    with pytest.raises(DataError, match="a label is not 0, 1 or ignored; got 7") as caught:
        multilabel_intervals(partition(), runs["fedmvp"], runs)
    assert caught.value.where == "scores.safetensors: main/gzsl/toys/gzsl"


def test_the_table_has_a_row_for_each_seed_and_all(
    runs: dict[str, dict[int, Path]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(scenes_intervals, "load_partition", lambda path: partition())
    monkeypatch.setattr("sys.argv", ["scenes_intervals", "sites"])
    scenes_intervals.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "fedmvp minus zero_shot_combined, in points"
    assert [line.split()[2] for line in lines[1:]] == ["1"] * 3 + ["2"] * 3 + ["1,2"] * 3
    assert all(line.endswith("above") for line in lines[1:])
    with pytest.raises(DataError, match="no run kept scores"):
        scenes_intervals.runs_of("sites", "promptfl")
