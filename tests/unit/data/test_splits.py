from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from fedmvp.catalog.layouts import FractionsRule
from fedmvp.data.splits import assign_splits

HALF = FractionsRule(rule="fractions", train=0.5)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz")), min_size=1, max_size=60),
    st.sampled_from([0.2, 0.5, 0.7]),
    st.sampled_from([0.0, 0.2]),
    st.sampled_from(["class", "class_and_domain"]),
    st.integers(0, 5),
)
def test_every_group_has_its_fractions(
    groups: list[tuple[str, str]], train: float, val: float, within: str, seed: int
) -> None:
    rule = FractionsRule.model_validate(
        {"rule": "fractions", "train": train, "val": val, "within": within}
    )
    splits = assign_splits("toy", groups, rule, seed)
    assert splits == assign_splits("toy", groups, rule, seed)
    keys = [group[:1] if within == "class" else group for group in groups]
    for key in set(keys):
        inside = [s for k, s in zip(keys, splits, strict=True) if k == key]
        counts = Counter(inside)
        assert counts["train"] == round(len(inside) * train)
        rest = len(inside) - counts["train"]
        assert counts["val"] == min(rest, round(len(inside) * val))


def test_domains_are_balanced_whatever_their_size() -> None:
    many = [(c, d) for c in "abcdef" for d, n in (("x", 40), ("y", 3), ("z", 10)) for _ in range(n)]
    single = [(str(c), d) for c in range(50) for d in "vwxyz"]
    for groups in (many, single):
        splits = assign_splits("toy", groups, HALF, 3)
        share = splits.count("train") / len(splits)
        for domain in {d for _, d in groups}:
            inside = [s for (_, d), s in zip(groups, splits, strict=True) if d == domain]
            assert abs(inside.count("train") - share * len(inside)) <= 2


def test_images_are_drawn_not_listed() -> None:
    splits = assign_splits("toy", [("a", "x")] * 40, HALF, 1)
    assert 0 < splits[:20].count("train") < 20
    assert splits != assign_splits("toy", [("a", "x")] * 40, HALF, 2)
    assert splits != assign_splits("other", [("a", "x")] * 40, HALF, 1)
