"""The method in focus against the others, as report/tables/intervals.csv has it."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import numpy as np
import pytest

from fedmvp.csv_files import read_csv
from fedmvp.evaluation.bootstrap import difference_intervals
from fedmvp.report import build
from fedmvp.results.predictions import Answers, read_predictions
from tests.unit.report.making import EMOJI, SMALL, report, table
from tests.unit.report.synthetic import World

SMALLEST = World(settings=("base_to_new",), seeds=(1, 2), rounds=1, datasets={"animals": 20})


def metrics(folder: Path, method: str, seed: int) -> dict[str, float]:
    found: dict[str, float] = json.loads(
        (folder / method / f"seed{seed}" / "metrics.json").read_text()
    )
    return found


def answers(folder: Path) -> Answers:
    targets = [{**row, "images": int(row["images"])} for row in read_csv(folder / "targets.csv")]
    return read_predictions(folder / "predictions.csv", targets)


def test_every_method_is_compared_in_every_headline_metric_and_target(built: Path) -> None:
    rows = table(built, "intervals.csv")
    assert list(rows[0]) == [
        "setting",
        "metric",
        "method",
        "reference",
        "difference",
        "low",
        "high",
        "kind",
        "wins",
        "seeds",
    ]
    assert {(row["setting"], row["metric"]) for row in rows} == {
        *(("base_to_new", metric) for metric in ("local", "base", "new", "hm")),
        ("cross_dataset", "mean"),
        ("cross_dataset", "food"),
        *(("msst", metric) for metric in ("mean", "twemoji", "noto", "openmoji")),
    }
    # The best zero-shot method on the metric methods are ranked by comes first.
    summary = {
        (r["setting"], r["metric"], r["method"]): r["mean"] for r in table(built, "summary.csv")
    }
    for setting, metric in (("base_to_new", "hm"), ("cross_dataset", "mean"), ("msst", "mean")):
        order = list(dict.fromkeys(r["reference"] for r in rows if r["setting"] == setting))
        assert sorted(order) == ["zero_shot", "zero_shot_attributes"]
        assert summary[setting, metric, order[0]] >= summary[setting, metric, order[1]]


def test_differences_are_means_over_seeds(built: Path) -> None:
    for row in table(built, "intervals.csv"):
        folder = built.parent / "results" / row["setting"]
        pairs = [
            (
                metrics(folder, "fedmvp", seed)[row["metric"]],
                metrics(folder, row["reference"], seed)[row["metric"]],
            )
            for seed in SMALL.seeds
        ]
        expected = statistics.fmean(ours - theirs for ours, theirs in pairs)
        assert float(row["difference"]) == pytest.approx(expected, abs=1e-6)
        assert int(row["wins"]) == sum(ours > theirs for ours, theirs in pairs)
        assert (row["method"], row["seeds"]) == ("fedmvp", "3")
        assert float(row["low"]) <= float(row["difference"]) <= float(row["high"])
        assert row["kind"] in ("images", "classes")


def test_intervals_are_those_of_the_predictions(built: Path) -> None:
    folder = built.parent / "results" / "msst"
    read = {
        m: {s: answers(folder / m / f"seed{s}") for s in SMALL.seeds}
        for m in ("fedmvp", "zero_shot")
    }
    ours, theirs = ({seed: a.correct for seed, a in found.items()} for found in read.values())
    targets = read["fedmvp"][1].targets
    expected = difference_intervals("transfer", targets, ours, {"zero_shot": theirs})["zero_shot"]
    rows = {
        r["metric"]: r
        for r in table(built, "intervals.csv")
        if (r["setting"], r["reference"]) == ("msst", "zero_shot")
    }
    assert rows.keys() == expected.keys()
    for metric, interval in expected.items():
        row = rows[metric]
        found = [float(row[key]) for key in ("difference", "low", "high")]
        np.testing.assert_allclose(
            found, [interval.difference, interval.low, interval.high], atol=5e-7
        )
        assert row["kind"] == interval.kind


def test_results_without_predictions_have_no_interval(tmp_path: Path) -> None:
    world = World(
        settings=("base_to_new", "msst"),
        seeds=(1, 2),
        rounds=2,
        predictions=False,
        datasets={"animals": 20, "food": 20},
    )
    folder = report(tmp_path, world)
    rows = table(folder, "intervals.csv")
    assert {(row["low"], row["high"], row["kind"]) for row in rows} == {("", "", "")}
    assert {(row["wins"] != "", row["seeds"]) for row in rows} == {(True, "2")}
    text = (folder / "index.html").read_text()
    assert "interval" not in text.lower()
    assert "significan" not in text
    assert "it is ahead in" in text


def test_pairs_lack_an_interval_where_one_of_their_files_is_missing(tmp_path: Path) -> None:
    results, partitions = SMALLEST.write(tmp_path)
    (results / "base_to_new/zero_shot/seed2/predictions.csv").unlink()
    build(results, partitions, tmp_path / "report", EMOJI, methods=SMALLEST.methods)
    known = {
        row["reference"]: row["kind"] != "" for row in table(tmp_path / "report", "intervals.csv")
    }
    assert known == {"zero_shot": False, "zero_shot_attributes": True}


def test_seeds_that_only_one_method_has_are_left_out(tmp_path: Path) -> None:
    """A zero-shot method scores alike with every seed, so the page's difference is the pair's."""
    results, partitions = SMALLEST.write(tmp_path)
    (results / "base_to_new/fedmvp/seed2").rename(tmp_path / "still training")
    build(results, partitions, tmp_path / "report", EMOJI)
    rows = table(tmp_path / "report", "intervals.csv")
    assert {row["seeds"] for row in rows} == {"1"}
    assert all(row["kind"] for row in rows)
    assert "% interval" in (tmp_path / "report/index.html").read_text()


def test_no_other_method_nothing_to_compare(tmp_path: Path) -> None:
    world = World(settings=("msst",), trained=("fedmvp",), zero_shot=(), seeds=(1,), rounds=1)
    folder = report(tmp_path, world)
    assert table(folder, "intervals.csv") == []
    text = (folder / "index.html").read_text()
    assert 'id="losses"' not in text
    assert "interval" not in text.lower()
