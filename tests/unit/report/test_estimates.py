from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmvp.report.estimates import estimate, rank
from fedmvp.report.format import bytes_text, fixed, percent, points, significant
from fedmvp.report.protocols import protocol_of, setting_title, split_metric
from fedmvp.report.svg import log_ticks, nice_ticks
from fedmvp.wording import plural

fractions = st.floats(0, 1)


@given(st.lists(fractions, min_size=2, max_size=6))
def test_mean_and_sample_deviation(values: list[float]) -> None:
    result = estimate(values)
    assert result.mean == pytest.approx(statistics.fmean(values), abs=1e-12)
    assert result.std == pytest.approx(statistics.stdev(values), abs=1e-9)
    assert result.seeds == len(values)


def test_one_seed_has_no_deviation() -> None:
    assert estimate([0.25]).std is None
    assert percent(None) == "—"
    assert fixed(None) == ""


@given(st.dictionaries(st.sampled_from("abcdefgh"), fractions, min_size=1))
def test_ranks_add_up_and_follow_the_means(means: dict[str, float]) -> None:
    ranks = rank(means)
    assert sum(ranks.values()) == pytest.approx(len(means) * (len(means) + 1) / 2)
    for a in means:
        for b in means:
            if round(means[a], 6) > round(means[b], 6):
                assert ranks[a] < ranks[b]


def test_equal_means_share_a_rank() -> None:
    assert rank({"a": 0.3, "b": 0.5, "c": 0.3}) == {"a": 2.5, "b": 1.0, "c": 2.5}


def test_numbers_as_people_read_them() -> None:
    assert percent(0.41234) == "41.23"
    assert points(0.018) == "+1.80"
    assert points(-0.004) == "−0.40"
    assert points(-0.00001) == "±0.00"
    assert fixed(-0.0000001) == "0.000000"
    assert [bytes_text(b) for b in (0, 999, 8_192, 999_700, 39_383_040)] == [
        "0 B",
        "999 B",
        "8.19 kB",
        "1.00 MB",
        "39.4 MB",
    ]
    assert significant(0.003) == "0.003"
    assert significant(1234.0) == "1,234"
    assert plural(1, "seed") == "1 seed"
    assert plural(1200, "seed") == "1,200 seeds"
    assert [plural(n, "class") for n in (0, 1, 2)] == ["0 classes", "1 class", "2 classes"]


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_ticks_span_the_data(low: float, extent: float) -> None:
    ticks = nice_ticks(low, low + extent)
    slack = 1e-6 * max(abs(low), extent, 1.0)
    assert ticks[0] <= low + slack
    assert ticks[-1] >= low + extent - slack
    assert 2 <= len(ticks) <= 8
    assert ticks == sorted(set(ticks))


def test_ticks_of_a_constant_and_of_powers_of_ten() -> None:
    assert nice_ticks(0.5, 0.5)[0] < 0.5 < nice_ticks(0.5, 0.5)[-1]
    assert log_ticks(8_192, 39e6) == [1e3, 1e4, 1e5, 1e6, 1e7, 1e8]
    assert log_ticks(10, 10) == [10, 100]


def test_metric_names() -> None:
    keys = ["hm", "hm/food", "noto", "noto/food", "mean"]
    assert [split_metric(key, keys) for key in keys] == [
        ("", "hm"),
        ("hm", "food"),
        ("", "noto"),
        ("noto", "food"),
        ("", "mean"),
    ]
    assert protocol_of("base_to_new").primary == "hm"
    assert protocol_of("transfer").primary == "mean"


def test_setting_titles() -> None:
    assert setting_title("msst") == "Multi-source domains"
    assert setting_title("msst_pacs") == "Multi-source domains: PACS"
    assert setting_title("my_own") == "My own"
