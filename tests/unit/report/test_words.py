"""The first screen's sentences follow the numbers, whatever they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from fedmvp.evaluation.bootstrap import Interval
from fedmvp.report.comparisons import Comparison, Comparisons
from fedmvp.report.estimates import Estimate, SettingScores
from fedmvp.report.losses import losses
from fedmvp.report.narrative import headline, tiles
from fedmvp.report.protocols import protocol_of
from fedmvp.report.study import Study, Subject

SEEDS = (1, 2)
Scores = Mapping[str, Mapping[str, float]]
NONE: Comparisons = {}


def study(settings: Mapping[str, Scores], seeds: Sequence[int] = SEEDS) -> Study:
    """Return a study of these means by setting, method and metric; zero-shot ones are named so."""
    scores = {}
    for setting, table in settings.items():
        protocol = protocol_of("base_to_new" if setting == "base_to_new" else "transfer")
        scores[setting] = SettingScores(
            setting=setting,
            protocol=protocol,
            methods=tuple(table),
            trained=frozenset(m for m in table if not m.startswith("zero_shot")),
            table={
                method: {key: Estimate(value, None, len(seeds)) for key, value in means.items()}
                for method, means in table.items()
            },
            parts={},
            by_seed={
                m: dict.fromkeys(seeds, means[protocol.primary]) for m, means in table.items()
            },
        )
    names = dict.fromkeys(method for table in settings.values() for method in table)
    return Study(Subject("p"), tuple(names), (), scores, {}, {}, ())


def b2n(hm: float, new: float = 0.3) -> dict[str, float]:
    return {"local": 0.5, "base": 0.4, "new": new, "hm": hm}


def intervals(*rows: tuple[str, str, str, float, float, float]) -> Comparisons:
    """Return comparisons of FedMVP: setting, metric, reference, difference, low, high."""
    return {
        row[:3]: Comparison(
            row[0], row[1], "fedmvp", row[2], row[3], Interval(*row[3:], "images"), 2, 2
        )
        for row in rows
    }


def said(settings: Mapping[str, Scores], comparisons: Comparisons = NONE) -> str:
    return headline(study(settings), comparisons).replace("\N{NO-BREAK SPACE}", " ")


ZS, BOTH = "zero_shot", "zero_shot_combined"
UP = {"base_to_new": {ZS: b2n(0.35), BOTH: b2n(0.382), "fedmvp": b2n(0.412)}}


def test_a_sure_gain_is_one_sentence() -> None:
    settings = UP | {
        "cross_dataset": {BOTH: {"mean": 0.3}, "fedmvp": {"mean": 0.31}},
        "msst": {BOTH: {"mean": 0.3}, "fedmvp": {"mean": 0.32}},
    }
    sure = intervals(
        ("base_to_new", "hm", BOTH, 0.03, 0.021, 0.038),
        ("cross_dataset", "mean", BOTH, 0.01, 0.004, 0.016),
        ("msst", "mean", BOTH, 0.02, 0.011, 0.03),
    )
    assert said(settings, sure) == (
        "FedMVP raises base-to-new HM from 38.2 % (Zero-shot, both texts: the best method without"
        " training) to 41.2 %: +3.0 points, 95 % interval +2.1 to +3.8; over 3 settings it is"
        " ahead in 3, and significantly so in 3."
    )


@pytest.mark.parametrize(
    ("hm", "ends", "text"),
    [
        (
            0.412,
            (0.021, 0.038),
            "FedMVP raises base-to-new HM from 38.2 % (Zero-shot, both texts:"
            " the best method without training) to 41.2 %: +3.0 points, 95 % interval +2.1"
            " to +3.8.",
        ),
        (
            0.352,
            (-0.041, -0.022),
            "FedMVP lowers base-to-new HM from 38.2 % (Zero-shot, both texts:"
            " the best method without training) to 35.2 %: −3.0 points, 95 % interval −4.1"
            " to −2.2.",
        ),
        (
            0.386,
            (-0.003, 0.012),
            "FedMVP reaches 38.6 % base-to-new HM, 0.4 points above the best"
            " method without training (Zero-shot, both texts, 38.2 %); the 95 % interval, −0.3 to"
            " +1.2, includes zero.",
        ),
        (
            0.378,
            (-0.012, 0.0),
            "FedMVP reaches 37.8 % base-to-new HM, 0.4 points below the best"
            " method without training (Zero-shot, both texts, 38.2 %); the 95 % interval, −1.2 to"
            " 0.0, includes zero.",
        ),
        (
            0.382,
            (-0.01, 0.01),
            "FedMVP reaches 38.2 % base-to-new HM, level with the best method"
            " without training (Zero-shot, both texts, 38.2 %); the 95 % interval, −1.0 to +1.0,"
            " includes zero.",
        ),
        (
            0.382,
            (0.0, 0.0),
            "FedMVP reaches 38.2 % base-to-new HM, level with the best method"
            " without training (Zero-shot, both texts, 38.2 %).",
        ),
        (
            0.3823,
            (0.0002, 0.0004),
            "FedMVP raises base-to-new HM from 38.20 % (Zero-shot, both"
            " texts: the best method without training) to 38.23 %: +0.03 points, 95 % interval"
            " +0.02 to +0.04.",
        ),
        (
            0.412,
            None,
            "FedMVP reaches 41.2 % base-to-new HM, 3.0 points above the best method"
            " without training (Zero-shot, both texts, 38.2 %).",
        ),
    ],
)
def test_one_setting(hm: float, ends: tuple[float, float] | None, text: str) -> None:
    settings = {"base_to_new": {BOTH: b2n(0.382), "fedmvp": b2n(hm)}}
    known = intervals(("base_to_new", "hm", BOTH, hm - 0.382, *ends)) if ends else NONE
    assert said(settings, known) == text


def test_an_interval_of_another_difference_is_not_shown() -> None:
    """Methods with different seeds: the means differ by 3 points, those of common seeds by 2."""
    other = intervals(("base_to_new", "hm", BOTH, 0.02, 0.01, 0.03))
    assert "interval" not in said(UP, other)
    assert tiles(study(UP), other)[0].interval == ""


@pytest.mark.parametrize(
    ("ends", "interval", "sign"),
    [
        ((0.021, 0.038), "95 % interval +2.1 to +3.8 (images)", "up"),
        ((-0.01, 0.06), "95 % interval −1.0 to +6.0 (images)", "level"),
        (None, "", "up"),
    ],
)
def test_a_tile_is_coloured_where_the_interval_allows(
    ends: tuple[float, float] | None, interval: str, sign: str
) -> None:
    known = intervals(("base_to_new", "hm", BOTH, 0.03, *ends)) if ends else NONE
    (tile,) = tiles(study(UP), known)
    assert (tile.interval.replace("\N{NO-BREAK SPACE}", " "), tile.sign) == (interval, sign)
    assert (tile.difference, tile.detail) == (
        "+3.0",
        "vs Zero-shot, both texts, higher in 2 of 2 seeds",
    )


@pytest.mark.parametrize(
    ("means", "ends", "text"),
    [
        ((0.31, 0.29), ((0.001, 0.02), (-0.02, 0.01)), "ahead in 1, and significantly so in 1."),
        ((0.31, 0.31), ((-0.01, 0.02), (-0.02, 0.01)), "ahead in 2, and significantly so in none."),
        (
            (0.29, 0.29),
            ((-0.02, -0.01), (-0.02, 0.01)),
            "ahead in none, and significantly behind in 1.",
        ),
        (
            (0.31, 0.29),
            ((0.001, 0.02), (-0.02, -0.01)),
            "ahead in 1, and significantly so in 1, and significantly behind in 1.",
        ),
        (
            (0.31, 0.31),
            ((0.001, 0.02), None),
            "ahead in 2, and significantly so in 1 of the 1 with an interval.",
        ),
        ((0.31, 0.31), (None, None), "ahead in 2."),
    ],
)
def test_several_settings(
    means: tuple[float, float], ends: Sequence[tuple[float, float] | None], text: str
) -> None:
    names = ("msst_pacs", "field_trip")
    settings = {
        name: {ZS: {"mean": 0.3}, "fedmvp": {"mean": mean}}
        for name, mean in zip(names, means, strict=True)
    }
    known = intervals(
        *(
            (name, "mean", ZS, mean - 0.3, *pair)
            for name, mean, pair in zip(names, means, ends, strict=True)
            if pair
        )
    )
    found = said(settings, known)
    assert "multi-source (PACS) mean accuracy" in found
    assert found.endswith(f"; over 2 settings it is {text}")


def test_without_a_zero_shot_method_and_with_one_in_some_settings() -> None:
    alone = {"fedmvp": {"mean": 0.4}}
    assert said({"msst": alone}) == "FedMVP reaches 40.0 % multi-source mean accuracy."
    mixed = {"msst": alone, "ssmt": {ZS: {"mean": 0.3}, "fedmvp": {"mean": 0.2}}}
    assert said(mixed).endswith(
        "accuracy; over 1 setting with a method without training it is ahead in none."
    )
    both = {"msst": {"promptfl": {"mean": 0.4}, "fedmvp": {"mean": 0.3}}}
    assert said(both).endswith("accuracy. It ranks 2 of 2 methods; PromptFL is best with 40.0 %.")


def test_where_fedmvp_was_not_run_the_best_method_speaks() -> None:
    settings = {
        "msst": {ZS: {"mean": 0.3}, "fedmvp": {"mean": 0.4}},
        "ssmt": {ZS: {"mean": 0.3}, "promptfl": {"mean": 0.4}},
    }
    assert said(settings).endswith(
        "over 2 settings FedMVP, or the best method where that was not run, is ahead in 2."
    )


def rows(found: Any) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(row.title, row.metric, row.methods) for row in found.rows]


def test_every_loss_is_listed_furthest_first() -> None:
    settings = UP | {
        "msst": {ZS: {"mean": 0.3}, "promptfl": {"mean": 0.35}, "fedmvp": {"mean": 0.3}}
    }
    settings["base_to_new"] = {
        ZS: b2n(0.35, new=0.312),
        BOTH: b2n(0.382, new=0.3004),
        "promptfl": b2n(0.4, new=0.2),
        "fedclip": b2n(0.4, new=0.33),
        "fedmvp": b2n(0.412),
    }
    known = intervals(
        ("base_to_new", "new", ZS, -0.012, -0.02, -0.004),
        ("base_to_new", "new", "fedclip", -0.03, -0.05, 0.0),
    )
    found = losses(study(settings), known)
    assert found is not None
    assert found.title == "Where FedMVP loses"
    assert "in brackets the 95\N{NO-BREAK SPACE}% interval" in found.sentence
    assert rows(found) == [
        (
            "Base to new",
            "New",
            (
                "FedCLIP −3.0 (−5.0 to 0.0)",
                "Zero-shot −1.2 (−2.0 to −0.4)",
                "Zero-shot, both texts −0.04",
            ),
        ),
        ("Multi-source domains", "Mean", ("PromptFL −5.0",)),
    ]


def test_a_long_list_of_methods_is_cut() -> None:
    others = {f"m{n}": {"mean": 0.4 + n / 100} for n in range(5)}
    found = losses(study({"msst": {**others, "fedmvp": {"mean": 0.3}}}), NONE)
    assert found is not None
    assert rows(found)[0][2] == ("m4 −14.0", "m3 −13.0", "m2 −12.0", "and 2 other methods")
    assert "brackets" not in found.sentence


def test_nobody_above_is_said() -> None:
    found = losses(study(UP), NONE)
    assert found is not None
    assert found.rows == ()
    assert found.sentence == "No other method scores above FedMVP in any of 4 headline metrics."
    one = losses(study({"msst": {ZS: {"mean": 0.3}, "fedmvp": {"mean": 0.3}}}), NONE)
    assert one is not None
    assert one.sentence == "No other method scores above FedMVP in the headline metric."
    assert losses(study({"msst": {"fedmvp": {"mean": 0.3}}}), NONE) is None
