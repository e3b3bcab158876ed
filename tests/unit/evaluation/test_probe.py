from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fedmvp.csv_files import read_csv
from fedmvp.evaluation.probe import SAMPLE, Group, Probe, _spread, linear_probe
from fedmvp.evaluation.recommendation import (
    FAMILIAR,
    GAP_POINTS,
    UNLIKE,
    UNLIKE_ALONE,
    recommend,
)
from fedmvp.evaluation.shift import Moments
from fedmvp.evaluation.shift_reference import Reference
from tests.paths import ROOT


@pytest.mark.slow  # imports scikit-learn
def test_probe_separates_what_is_separable_and_guesses_what_is_not() -> None:
    draw = np.random.default_rng(0)
    labels = np.arange(60) % 3
    noise = draw.normal(size=(60, 16)).astype(np.float32) * 0.1
    signal = np.eye(16, dtype=np.float32)[labels]
    assert linear_probe(signal + noise, labels, signal - noise, labels) == 1.0
    assert linear_probe(noise, labels, draw.permutation(noise), labels) < 0.8


def test_the_sample_of_a_large_domain_is_spread_over_its_images() -> None:
    few, many = np.arange(SAMPLE), 7 + np.arange(10 * SAMPLE + 3)
    assert _spread(few) is few
    sample = _spread(many)
    assert len(sample) == len(set(sample.tolist())) == SAMPLE
    assert (sample[0], np.diff(sample).min(), np.diff(sample).max()) == (7, 10, 11)
    assert sample[-1] > many[-1] - 20


def probe(
    *,
    zero_shot: float = 0.2,
    linear: float = 0.5,
    shift: float | None = 0.0,
    domains: int = 2,
    classes: int = 100,
    foreign: str | None = None,
) -> Probe:
    group = Group("all", 400, 400, zero_shot, None, None, shift, 0.1)
    own = tuple(replace(group, name=f"site {number}") for number in range(domains))
    pixels = Moments(np.full(3, 128.0), np.full(3, 60.0))
    reference = Reference(None if shift is None else pixels, pixels, "a test")
    return Probe("toys", classes, zero_shot, linear, group, own, reference, foreign)


@pytest.mark.parametrize(
    ("changes", "verdict", "words"),
    [
        ({"shift": 0.004}, "little", "(shift 0.00): expect little from visual prompts; better"),
        ({"shift": FAMILIAR}, "little", "30 points more than the template"),
        ({"shift": 0.2}, "unclear", "between where FedMVP gained nothing and where it gained. A"),
        ({"shift": UNLIKE}, "prompts", "(shift 0.30) and a linear probe reads 30 points more"),
        ({"shift": 2.3, "linear": 0.34}, "prompts", "14 points more than the template: a case for"),
        ({"shift": 2.3, "linear": 0.2 + GAP_POINTS / 100 - 0.01}, "unclear", "No such case was"),
        ({"shift": 2.3, "linear": 0.15}, "unclear", "5 points fewer than the template"),
        ({"shift": UNLIKE, "domains": 1}, "unclear", "One style of drawing alone may differ"),
        ({"shift": 0.2, "domains": 1}, "unclear", "where it gained. A linear"),
        ({"shift": UNLIKE_ALONE, "domains": 1}, "prompts", "a case for FedMVP"),
        ({"shift": None}, "not_measured", "on PictoCLIP alone. A linear probe reads 30 points"),
        ({"shift": 2.3, "linear": 0.02}, "other_backbone", "near chance (2.0%, guessing 1.0%)"),
        ({"shift": None, "linear": 0.0}, "other_backbone", "choose another backbone"),
        ({"shift": 0.4, "foreign": "9 of 9 are photographs"}, "other_backbone", "9 of 9 are"),
    ],
)
def test_recommendations(changes: dict[str, Any], verdict: str, words: str) -> None:
    found = recommend(probe(**changes))
    assert found.verdict == verdict
    assert words in found.text and found.text.endswith(".")


def test_chance_and_gap() -> None:
    found = probe(zero_shot=0.25, linear=0.5, classes=8)
    assert (found.chance, found.gap_points) == (0.125, 25.0)


def test_thresholds_are_what_was_measured() -> None:
    """docs/probe_severity.csv is what the thresholds say they were read off."""
    rows = read_csv(ROOT / "docs/probe_severity.csv")
    whole = [row for row in rows if row["domain"] == "all"]

    def values(column: str, *severities: str) -> list[float]:
        return [float(row[column]) for row in whole if row["severity"] in severities]

    assert len(values("shift", "0")) == 5
    assert max(values("shift", "0")) < 0.02
    assert FAMILIAR - 0.01 < max(values("shift", "0.35")) <= FAMILIAR
    assert UNLIKE <= min(values("shift", "0.7")) < UNLIKE + 0.1
    assert GAP_POINTS <= min(values("gap_points", "0.7", "1")) < GAP_POINTS + 5
    clean = [float(row["shift"]) for row in rows if row["severity"] == "0"]
    assert UNLIKE_ALONE - 0.01 < max(clean) <= UNLIKE_ALONE
    # Up to FAMILIAR nothing is lost; from UNLIKE on, much.
    mean = {s: float(np.mean(values("zero_shot", s))) for s in ("0", "0.35", "0.7", "1")}
    assert abs(mean["0.35"] - mean["0"]) < 0.01 and mean["0"] - mean["0.7"] > 0.05
    verdicts = {"0": "little", "0.35": "little", "0.7": "prompts", "1": "prompts"}
    assert all(row["verdict"] == verdicts[row["severity"]] for row in whole)
