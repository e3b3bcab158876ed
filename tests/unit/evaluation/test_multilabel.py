"""Metrics of many labels: small tables worked out once with scikit-learn 1.9.1 and by hand."""

from __future__ import annotations

import numpy as np
import pytest

from fedmvp.errors import DataError
from fedmvp.evaluation.average_precision import (
    IGNORED,
    Form,
    average_precisions,
    check_scores,
    mean_average_precision,
    precision_recall,
)
from fedmvp.evaluation.label_counts import (
    THRESHOLDS,
    Counts,
    best_threshold,
    counts_at,
    counts_top,
    f1_metrics,
    log_odds,
)
from fedmvp.evaluation.multilabel import (
    best_on_test,
    generalised_metrics,
    multilabel_metrics,
    prevalence,
)

pytestmark = pytest.mark.slow  # imports scikit-learn

SCORES = np.array(
    [[0.9, 0.2, 0.6], [0.8, 0.7, 0.1], [0.4, 0.6, 0.3], [0.3, 0.5, 0.8], [0.1, 0.9, 0.2]]
)
LABELS = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1], [0, 1, 1]])
EXACT = 5e-7  # six digits


@pytest.mark.parametrize(
    ("form", "classes", "macro"),
    [
        ("step", [5 / 6, 1.0, 0.75], 0.861111),
        ("interpolated", [5 / 6, 1.0, 0.75], 0.861111),
        ("voc11", [0.848485, 1.0, 0.772727], 0.873737),
    ],
)
def test_average_precision(form: Form, classes: list[float], macro: float) -> None:
    """Class 1 is ranked 1, 0, 1, 0, 0: (1 + 2/3) / 2 = 5/6. At 11 recalls precision is 1 six times
    (0 to 0.5) and 2/3 five times: (6 + 10/3) / 11 = 0.848485."""
    found = average_precisions(SCORES, LABELS, form)
    assert found == pytest.approx(classes, abs=EXACT)
    assert mean_average_precision(found) == pytest.approx(macro, abs=EXACT)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        (counts_at(SCORES, LABELS, [0.5]).at(0), [2 / 3] * 4 + [5 / 7] * 3),
        (
            counts_top(SCORES, LABELS, 1),
            [0.833333, 0.555556, 0.655556, 0.666667, 0.8, 0.571429, 0.666667],
        ),
        (
            counts_top(SCORES, LABELS, 2),
            [0.694444, 1.0, 0.819048, 0.819672, 0.7, 1.0, 0.823529],
        ),
    ],
)
def test_f1_both_ways(counts: Counts, expected: list[float]) -> None:
    """CF1 as the mean of class F1 and as the harmonic mean of CP and CR differ (top-1)."""
    names = ["cp", "cr", "cf1", "cf1_hm", "op", "or", "of1"]
    assert f1_metrics(counts) == pytest.approx(dict(zip(names, expected, strict=True)), abs=EXACT)


def test_each_metric_at_its_own_threshold_is_higher() -> None:
    """The best of nine thresholds for each metric alone, as some papers print it on test images."""
    best = best_on_test(np.vectorize(log_odds)(SCORES), LABELS)
    expected = [0.833333, 1.0, 0.719048, 0.723270, 1.0, 1.0, 0.75]
    assert list(best.values()) == pytest.approx(expected, abs=EXACT)
    names = ["cp", "cr", "cf1", "cf1_hm", "op", "or", "of1"]
    assert list(best) == [f"{name}_max" for name in names]


def test_equal_scores_are_one_step_whatever_the_order_of_files() -> None:
    """Four equal scores, one positive: precision 1/4 wherever it stands. .9 .5 .5 .5 .1 with
    0 1 1 0 1: at 0.5 two of four, at 0.1 three of five: (2 * 1/2 + 3/5) / 3 = 0.533333."""
    equal = np.full((4, 4), 0.5)
    assert average_precisions(equal, np.eye(4, dtype=int)) == pytest.approx([0.25] * 4)
    scores, labels = np.array([0.9, 0.5, 0.5, 0.5, 0.1]), np.array([0, 1, 1, 0, 1])
    for order in ([0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 3, 4, 1]):
        found = average_precisions(scores[order, None], labels[order, None])
        assert found == pytest.approx([0.533333], abs=EXACT)


def test_a_class_without_positives_is_left_out_and_counted() -> None:
    """With it counted as 0, as some code does, mAP is 2/3 for a perfect ranking."""
    scores = np.array([[0.9, 0.1, 0.4], [0.2, 0.8, 0.3], [0.6, 0.7, 0.2]])
    labels = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 0]])
    precisions = average_precisions(scores, labels)
    assert np.isnan(precisions).tolist() == [False, False, True]
    assert mean_average_precision(precisions) == 1.0
    assert mean_average_precision(precisions, empty="zero") == pytest.approx(2 / 3)
    metrics = multilabel_metrics(scores, labels, {})
    assert (metrics["map"], metrics["scored"], metrics["classes"]) == (1.0, 2.0, 3.0)
    assert average_precisions(scores, np.ones_like(labels)) == pytest.approx([1.0] * 3)
    assert np.isnan(mean_average_precision(average_precisions(scores, np.zeros_like(labels))))


def test_seen_and_unseen_classes() -> None:
    scores = np.array(
        [
            [0.9, 0.3, 0.5, 0.1],
            [0.3, 0.8, 0.2, 0.4],
            [0.7, 0.2, 0.4, 0.2],
            [0.6, 0.3, 0.3, 0.3],
            [0.2, 0.9, 0.7, 0.6],
            [0.5, 0.4, 0.6, 0.7],
        ]
    )
    labels = np.array(
        [[1, 0, 0, 0], [0, 1, 0, 1], [1, 0, 1, 0], [1, 0, 0, 1], [0, 1, 1, 0], [0, 1, 0, 0]]
    )
    seen = np.array([True, True, False, False])
    assert average_precisions(scores, labels) == pytest.approx([1, 1, 0.75, 0.416667], abs=EXACT)
    assert generalised_metrics(scores, labels, seen) == pytest.approx(
        {"map": 0.791667, "map_seen": 1.0, "map_unseen": 0.583333, "h": 0.736842}, abs=EXACT
    )
    assert f1_metrics(counts_top(scores, labels, 1))["of1"] == pytest.approx(0.625)
    rows = labels[:, ~seen].any(axis=1)
    zsl_scores, zsl_labels = scores[rows][:, ~seen], labels[rows][:, ~seen]
    zsl = average_precisions(zsl_scores, zsl_labels)
    assert zsl == pytest.approx([1, 0.583333], abs=EXACT)
    assert f1_metrics(counts_top(zsl_scores, zsl_labels, 1))["of1"] == pytest.approx(0.75)
    # Two further outputs that no image shows, counted as 0: the ceiling is 4 / 6.
    padded = np.append(average_precisions(scores, labels), [np.nan, np.nan])
    assert mean_average_precision(padded, empty="zero") == pytest.approx(0.527778, abs=EXACT)


@pytest.mark.parametrize(("difficult", "expected"), [(0, 0.75), (IGNORED, 0.833333), (1, 0.805556)])
def test_difficult_objects_three_ways(difficult: int, expected: float) -> None:
    """Flags 1 -1 0 1 -1 of one class. Ignored: 1 0 1 0 → (1 + 2/3) / 2."""
    labels = np.array([1, 0, difficult, 1, 0])[:, None]
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5])[:, None]
    assert average_precisions(scores, labels) == pytest.approx([expected], abs=EXACT)


def test_ignored_pairs_are_in_no_number() -> None:
    """A top-1 place goes to the best class that is not ignored."""
    labels = np.array([[1, IGNORED], [0, 1]])
    scores = np.array([[0.2, 0.9], [0.8, 0.7]])
    counts = counts_top(scores, labels, 1)
    assert (counts.hits.tolist(), counts.predicted.tolist()) == ([1, 0], [2, 0])
    at = counts_at(scores, labels, [0.5]).at(0)
    assert (at.hits.tolist(), at.predicted.tolist()) == ([0, 1], [1, 1])
    assert prevalence(labels) == pytest.approx((1 / 2 + 1) / 2)


def test_the_threshold_of_clients_is_that_of_their_images_together() -> None:
    both = counts_at(SCORES, LABELS, THRESHOLDS)
    parts = counts_at(SCORES[:2], LABELS[:2], THRESHOLDS) + counts_at(
        SCORES[2:], LABELS[2:], THRESHOLDS
    )
    assert len(THRESHOLDS) == 19
    assert all(np.array_equal(getattr(both, n), getattr(parts, n)) for n in ("hits", "predicted"))
    chosen = best_threshold(parts, THRESHOLDS)
    of1 = {t: f1_metrics(counts_at(SCORES, LABELS, [t]).at(0))["of1"] for t in THRESHOLDS}
    assert of1[chosen] == max(of1.values())


def test_of_equal_thresholds_the_middle_one_is_taken() -> None:
    """0.8 against 0.2: every threshold from 0.2 up to 0.75 is perfect, 12 of them."""
    scores, labels = np.array([[0.8], [0.2]]), np.array([[1], [0]])
    assert best_threshold(counts_at(scores, labels, THRESHOLDS), THRESHOLDS) == 0.45


def test_nothing_shown_and_nothing_predicted() -> None:
    nothing = np.zeros((2, 3), dtype=int)
    metrics = f1_metrics(counts_at(np.zeros((2, 3)), nothing, [0.5]).at(0))
    assert set(metrics.values()) == {0.0}
    # A class nobody shows or predicts is in no mean: one perfect class of two.
    scores, labels = np.array([[0.9, 0.1]]), np.array([[1, 0]])
    assert f1_metrics(counts_at(scores, labels, [0.5]).at(0))["cf1"] == 1.0


def test_thresholds_of_logits() -> None:
    """A probability above 0.8 is a logit above ln 4."""
    assert log_odds(0.8) == pytest.approx(np.log(4))
    logits = np.log(SCORES / (1 - SCORES))
    metrics = multilabel_metrics(logits, LABELS, {"": log_odds(0.5), "_val": log_odds(0.65)})
    assert metrics["of1"] == pytest.approx(5 / 7)
    assert metrics["of1_val"] == f1_metrics(counts_at(SCORES, LABELS, [0.65]).at(0))["of1"]
    assert {"map", "images", "prevalence", "of1_top3", "cp_top5"} <= metrics.keys()


def test_precision_recall_ends_with_everything() -> None:
    precision, recall = precision_recall(SCORES[:, 0], LABELS[:, 0])
    assert precision == pytest.approx([1, 1 / 2, 2 / 3, 2 / 4, 2 / 5])
    assert recall == pytest.approx([0.5, 0.5, 1, 1, 1])


@pytest.mark.parametrize(
    ("scores", "labels", "what"),
    [
        (SCORES, LABELS[:, :2], "not tables of the same images and classes"),
        (SCORES, LABELS * 2, "a label is not 0, 1 or ignored"),
        (np.full_like(SCORES, np.nan), LABELS, "a score is not a number"),
    ],
)
def test_bad_tables_are_refused(scores: np.ndarray, labels: np.ndarray, what: str) -> None:
    check_scores(SCORES, LABELS, "voc2007")
    with pytest.raises(DataError, match=what):
        check_scores(scores, labels, "voc2007")
