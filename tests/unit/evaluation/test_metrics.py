"""Metrics, derived by hand in the docstrings."""

from __future__ import annotations

from typing import Any

import pytest

from fedmvp.errors import DataError
from fedmvp.evaluation.metrics import harmonic_mean, metrics_of


def row(group: str, dataset: str, accuracy: float, name: str = "x") -> dict[str, Any]:
    return {"group": group, "dataset": dataset, "name": name, "accuracy": accuracy}


@pytest.mark.parametrize(
    ("local", "base", "new", "printed"),
    [
        (81.89, 75.37, 77.82, 78.27),
        (76.72, 70.51, 75.78, 74.24),
        (81.75, 74.47, 71.70, 75.74),
        (81.63, 74.44, 70.62, 75.29),
    ],
)
def test_published_harmonic_means(local: float, base: float, new: float, printed: float) -> None:
    """HM is the three-way harmonic mean (docs/method.md#metrics): FedMVP, ZS, PromptFL,
    FedMaPLe; 3 / (1/81.89 + 1/75.37 + 1/77.82) = 78.27. Inputs are rounded, so ± 0.015."""
    assert harmonic_mean([local, base, new]) == pytest.approx(printed, abs=0.015)


def test_harmonic_mean_by_hand() -> None:
    """3 / (1/1 + 1/0.5 + 1/0.25) = 3 / 7; equal values are their own mean; one zero makes zero."""
    assert harmonic_mean([1, 0.5, 0.25]) == pytest.approx(3 / 7)
    assert harmonic_mean([0.3, 0.3, 0.3]) == pytest.approx(0.3)
    assert harmonic_mean([0.9, 0.0, 0.9]) == 0.0


def test_base_to_new_by_hand() -> None:
    """Local is a mean over clients, then over datasets.

    Pets: clients 0.8 and 0.6 → 0.7. Cars: one client, 0.5. local = (0.7 + 0.5) / 2 = 0.6; a mean
    over the three clients would be 0.633. base = (0.4 + 0.8) / 2 = 0.6, new = (0.2 + 0.4) / 2 =
    0.3. hm = 3 / (1/0.6 + 1/0.6 + 1/0.3) = 3 / 6.667 = 0.45: of the means, not a mean of hms.
    """
    rows = [
        row("local", "pets", 0.8, "c1"),
        row("local", "pets", 0.6, "c2"),
        row("local", "cars", 0.5, "c3"),
        row("base", "pets", 0.4),
        row("base", "cars", 0.8),
        row("new", "pets", 0.2),
        row("new", "cars", 0.4),
    ]
    metrics = metrics_of("base_to_new", rows)
    assert metrics == pytest.approx(
        {
            "local": 0.6,
            "base": 0.6,
            "new": 0.3,
            "hm": 0.45,
            "local/pets": 0.7,
            "local/cars": 0.5,
            "base/pets": 0.4,
            "base/cars": 0.8,
            "new/pets": 0.2,
            "new/cars": 0.4,
            "hm/pets": 3 / (1 / 0.7 + 1 / 0.4 + 1 / 0.2),
            "hm/cars": 3 / (2 + 1.25 + 2.5),
        }
    )
    assert list(metrics) == sorted(metrics)
    assert metrics_of("base_to_new", rows[::-1]) == metrics  # order of rows is irrelevant


def test_a_missing_group_is_an_error() -> None:
    with pytest.raises(DataError, match="no target of group new"):
        metrics_of("base_to_new", [row("local", "pets", 1.0), row("base", "pets", 1.0)])


def test_transfer_by_hand() -> None:
    """`sketch` spans two datasets: (0.2 + 0.6) / 2 = 0.4; `photo` has two folds' rows of one
    dataset: (0.5 + 0.7) / 2 = 0.6. mean = (0.4 + 0.6) / 2 = 0.5. The source, 0.9, stays out of it.
    """
    rows = [
        row("target", "pacs", 0.2, "sketch"),
        row("target", "vlcs", 0.6, "sketch"),
        row("target", "pacs", 0.5, "photo"),
        row("target", "pacs", 0.7, "photo"),
        row("source", "imagenet", 0.9, "imagenet"),
    ]
    assert metrics_of("transfer", rows) == pytest.approx(
        {
            "mean": 0.5,
            "sketch": 0.4,
            "sketch/pacs": 0.2,
            "sketch/vlcs": 0.6,
            "photo": 0.6,
            "imagenet": 0.9,
        }
    )


def test_published_imagenet_variants() -> None:
    """Avg(4) excludes ImageNet itself: (63.72 + 50.93 + 51.76 + 77.23) / 4 = 60.91."""
    accuracies = {"v2": 63.72, "sketch": 50.93, "a": 51.76, "r": 77.23}
    rows = [row("target", "imagenet", value, name) for name, value in accuracies.items()]
    rows.append(row("source", "imagenet", 70.87, "imagenet"))
    assert metrics_of("transfer", rows)["mean"] == pytest.approx(60.91, abs=0.005)


def test_two_targets_of_one_name_are_an_error() -> None:
    rows = [row("target", "a", 1.0, "x"), row("source", "a", 1.0, "x")]
    with pytest.raises(DataError, match="share a name"):
        metrics_of("transfer", rows)


def test_the_official_fold_has_a_mean_of_its_own() -> None:
    """Folds a and b with targets 0.2, 0.4 and 0.9: mean 0.5; of the marked fold a, 0.3."""
    rows = [
        {**row("target", "pacs", accuracy, name), "fold": fold}
        for fold, name, accuracy in (
            ("a", "a-to-b", 0.2),
            ("a", "a-to-c", 0.4),
            ("b", "b-to-a", 0.9),
        )
    ]
    metrics = metrics_of("transfer", rows, official=("a",))
    assert metrics["mean"] == pytest.approx(0.5)
    assert metrics["mean/official"] == pytest.approx(0.3)
    assert "mean/official" not in metrics_of("transfer", rows)
