"""What is true of every table of scores and labels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, precision_recall_fscore_support

from fedmvp.evaluation.average_precision import (
    IGNORED,
    average_precisions,
    mean_average_precision,
)
from fedmvp.evaluation.label_counts import counts_at, counts_top, f1_metrics
from fedmvp.evaluation.multilabel_bootstrap import (
    harmonic_of,
    mean_over_classes,
    paired_interval,
    resampled_precisions,
)
from fedmvp.seeds import numpy_generator

pytestmark = pytest.mark.slow  # imports scikit-learn
bounded = settings(max_examples=40, deadline=None)

Table = tuple[NDArray[np.float64], NDArray[np.int8]]


@st.composite
def tables(draw: st.DrawFn, ignored: bool = True) -> Table:
    """Draw scores with ties, and labels."""
    shape = draw(st.integers(2, 12)), draw(st.integers(1, 5))
    size = shape[0] * shape[1]
    scores = draw(st.lists(st.integers(0, 6), min_size=size, max_size=size))
    values = [0, 1, IGNORED] if ignored else [0, 1]
    labels = draw(st.lists(st.sampled_from(values), min_size=size, max_size=size))
    return np.array(scores, float).reshape(shape) / 8, np.array(labels, np.int8).reshape(shape)


@bounded
@given(tables(), st.integers(0, 2**32 - 1))
def test_neither_order_of_images_nor_scale_of_scores_counts(table: Table, seed: int) -> None:
    scores, labels = table
    order = np.random.default_rng(seed).permutation(len(scores))
    found = average_precisions(scores, labels)
    np.testing.assert_allclose(average_precisions(scores[order], labels[order]), found, atol=1e-12)
    scaled = 3 * scores + np.arange(scores.shape[1])
    np.testing.assert_allclose(average_precisions(scaled, labels), found, atol=1e-12)


@bounded
@given(tables())
def test_ignored_pairs_may_as_well_not_be_there(table: Table) -> None:
    scores, labels = table
    for k in range(labels.shape[1]):
        known = labels[:, k] != IGNORED
        if (labels[:, k] == 1).any():
            alone = average_precision_score(labels[known, k], scores[known, k])
            assert average_precisions(scores, labels)[k] == alone


@bounded
@given(tables())
def test_forms_are_ordered_and_within_bounds(table: Table) -> None:
    step, upper = (average_precisions(*table, form) for form in ("step", "interpolated"))
    judged = ~np.isnan(step)
    assert (step[judged] <= upper[judged] + 1e-12).all()
    assert (step[judged] > 0).all()
    assert (upper[judged] <= 1 + 1e-12).all()
    eleven = average_precisions(*table, "voc11")[judged]
    assert ((eleven > 0) & (eleven <= 1)).all()


@bounded
@given(tables(ignored=False))
def test_f1_is_that_of_scikit_learn(table: Table) -> None:
    scores, labels = table
    predicted = scores > 0.4
    ours = f1_metrics(counts_at(scores, labels, [0.4]).at(0))
    met = predicted.any(axis=0) | (labels == 1).any(axis=0)
    for average, names in (("macro", ("cp", "cr", "cf1")), ("micro", ("op", "or", "of1"))):
        if not met.any():
            continue
        # Twice side by side: one column alone would be taken for a problem of two classes.
        twice = (np.hstack([part[:, met]] * 2) for part in (labels, predicted))
        theirs = precision_recall_fscore_support(*twice, average=average, zero_division=0)
        assert [ours[name] for name in names] == pytest.approx(theirs[:3])


@bounded
@given(tables(), st.integers(1, 6))
def test_top_k_predicts_k_classes_an_image(table: Table, k: int) -> None:
    scores, labels = table
    counts = counts_top(scores, labels, k)
    known = (labels != IGNORED).sum(axis=1)
    assert counts.predicted.sum() == np.minimum(known, k).sum()
    assert (counts.hits <= np.minimum(counts.predicted, counts.positives)).all()


@bounded
@given(tables())
def test_resampled_precision_is_that_of_the_repeated_images(table: Table) -> None:
    """The weighted form against scikit-learn on the drawn rows, written out as often as drawn."""
    scores, labels = table
    found = resampled_precisions(scores, labels, resamples=2)
    draws = numpy_generator(0, "bootstrap", "scores", "").integers(0, len(labels), (2, len(labels)))
    for row, chosen in zip(found, [np.arange(len(labels)), *draws], strict=True):
        np.testing.assert_allclose(row, average_precisions(scores[chosen], labels[chosen]))


def test_a_clear_difference_excludes_zero_and_none_does_not() -> None:
    generator = np.random.default_rng(3)
    labels = (generator.random((200, 6)) < 0.3).astype(np.int8)
    noise = [generator.normal(size=labels.shape) for _ in range(4)]

    def drawn(scores: NDArray[np.float64]) -> NDArray[np.float64]:
        return resampled_precisions(scores, labels, dataset="scenes", resamples=300)

    good = [labels + 0.8 * n for n in noise[:2]]
    bad = [0.2 * labels + n for n in noise[2:]]
    interval = paired_interval([drawn(s) for s in good], [drawn(s) for s in bad])
    exact = [mean_average_precision(average_precisions(s, labels)) for s in (*good, *bad)]
    assert interval.difference == pytest.approx((exact[0] + exact[1] - exact[2] - exact[3]) / 2)
    assert 0 < interval.low < interval.difference < interval.high
    assert paired_interval([drawn(s) for s in good], [drawn(s) for s in bad]) == interval
    same = paired_interval([drawn(good[0])], [drawn(good[0])])
    assert (same.difference, same.low, same.high) == (0, 0, 0)
    with pytest.raises(ValueError, match="cannot be paired"):
        paired_interval([drawn(good[0])], [])


def test_h_in_resamples() -> None:
    """Seen 0.5 and 1, unseen 0.25: 2 * 0.75 * 0.25 / 1 = 0.375; NaN is in no mean."""
    seen = np.array([True, True, False, False])
    rows = np.array([[0.5, 1.0, 0.25, np.nan], [1.0, np.nan, 1.0, 1.0], [np.nan, 0.5, 0.0, 0.0]])
    assert harmonic_of(seen)(rows) == pytest.approx([0.375, 1.0, 0.0])
    assert mean_over_classes(rows) == pytest.approx([1.75 / 3, 1.0, 0.5 / 3])
