"""Where the method in focus loses: every headline metric in which another method is better."""

from __future__ import annotations

from dataclasses import dataclass

from fedmvp.methods import method_title
from fedmvp.report.comparisons import Comparisons, direction, interval_of
from fedmvp.report.estimates import SettingScores, verdict
from fedmvp.report.format import interval_text, points
from fedmvp.report.narrative import INTERVAL, precision
from fedmvp.report.protocols import setting_title
from fedmvp.report.study import Study
from fedmvp.wording import plural

__all__ = ["Behind", "Losses", "losses"]

_MOST_NAMED = 3


@dataclass(frozen=True)
class Behind:
    """A headline metric of a setting, and the methods above the one in focus, furthest first."""

    setting: str
    title: str
    metric: str
    methods: tuple[str, ...]


@dataclass(frozen=True)
class Losses:
    """The block's content: its title, a sentence and, if there are losses, rows."""

    title: str
    sentence: str
    rows: tuple[Behind, ...]


def losses(study: Study, comparisons: Comparisons) -> Losses | None:
    """Return where other methods score above the one in focus; None if there are no others."""
    compared = [scores for scores in study.scores.values() if len(scores.methods) > 1]
    if not compared:
        return None
    names = {verdict(scores).focus for scores in compared}
    who = method_title(names.pop()) if len(names) == 1 else "the method in focus"
    rows = tuple(
        row
        for scores in compared
        for metric in scores.protocol.scored
        if (row := _behind(scores, metric.key, comparisons)) is not None
    )
    count = sum(len(scores.protocol.scored) for scores in compared)
    sentence = f"Differences in points to the methods above it{_brackets(comparisons)}."
    if not rows:
        number = "the headline metric" if count == 1 else f"any of {count} headline metrics"
        sentence = f"No other method scores above {who} in {number}."
    return Losses(f"Where {who} loses", sentence, rows)


def _brackets(comparisons: Comparisons) -> str:
    known = any(found.interval is not None for found in comparisons.values())
    return f"; in brackets the {INTERVAL}" if known else ""


def _behind(scores: SettingScores, metric: str, comparisons: Comparisons) -> Behind | None:
    focus = verdict(scores).focus
    mine = scores.table[focus][metric].mean
    differences = {m: mine - scores.table[m][metric].mean for m in scores.methods if m != focus}
    above = sorted(
        (method for method, value in differences.items() if direction(value) == "down"),
        key=lambda method: differences[method],
    )
    if not above:
        return None
    texts = [_text(scores, metric, focus, m, differences[m], comparisons) for m in above]
    if len(texts) > _MOST_NAMED:
        rest = len(texts) - _MOST_NAMED
        texts[_MOST_NAMED:] = [f"and {plural(rest, 'other method')}"]
    title = scores.title(metric)
    return Behind(scores.setting, setting_title(scores.setting), title, tuple(texts))


def _text(
    scores: SettingScores,
    metric: str,
    focus: str,
    other: str,
    difference: float,
    comparisons: Comparisons,
) -> str:
    """Return the other method, the difference in points, and its interval."""
    interval = interval_of(comparisons, scores, metric, focus, other)
    decimals = precision(difference, interval)
    text = f"{method_title(other)} {points(difference, decimals)}"
    if interval is None:
        return text
    return f"{text} ({interval_text(interval.low, interval.high, decimals)})"
