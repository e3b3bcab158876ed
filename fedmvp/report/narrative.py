"""The page's sentences that depend on the data; they claim only what the numbers show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fedmvp.evaluation.bootstrap import Interval
from fedmvp.methods import method_title
from fedmvp.report.comparisons import Comparisons, direction, interval_of, significance
from fedmvp.report.estimates import Verdict
from fedmvp.report.format import interval_text, percent, points, spread_text, telling_decimals
from fedmvp.report.protocols import setting_phrase, setting_title
from fedmvp.report.study import Study
from fedmvp.wording import plural

__all__ = ["INTERVAL", "Tile", "compared", "headline", "intervals_note", "precision", "tiles"]

# A no-break space keeps the sign on the line of its number.
_PERCENT = "\N{NO-BREAK SPACE}%"
INTERVAL = f"95{_PERCENT} interval"


@dataclass(frozen=True)
class Tile:
    """The result of a setting in a few words.

    `sign` is ``up``, ``down`` or ``level``: that of the interval if there is one, else that of
    the difference.
    """

    setting: str
    title: str
    value: str
    spread: str
    metric: str
    difference: str
    sign: str
    detail: str
    interval: str
    place: str


def headline(study: Study, comparisons: Comparisons) -> str:
    """Return the main result in a sentence: the first setting in full, then how many agree.

    If several methods were trained, a second sentence gives the rank of the one in focus.
    """
    verdicts = study.verdicts
    intervals = [_interval(result, comparisons) for result in verdicts]
    first = verdicts[0]
    return f"{_first(first, intervals[0])}{_agreement(verdicts, intervals)}.{_standing(first)}"


def _interval(result: Verdict, comparisons: Comparisons) -> Interval | None:
    if result.reference is None:
        return None
    metric = result.scores.protocol.primary
    return interval_of(comparisons, result.scores, metric, result.focus, result.reference)


def _first(result: Verdict, interval: Interval | None) -> str:
    scores = result.scores
    focus = method_title(result.focus)
    what = f"{setting_phrase(scores.setting)} {scores.phrase}"
    if result.reference is None or result.difference is None:
        return f"{focus} reaches {percent(scores.primary(result.focus).mean, 1)}{_PERCENT} {what}"
    decimals = precision(result.difference, interval)
    mine, theirs = (
        f"{percent(scores.primary(method).mean, decimals)}{_PERCENT}"
        for method in (result.focus, result.reference)
    )
    reference = method_title(result.reference)
    if interval is not None and significance(interval) != "level":
        verb = "raises" if significance(interval) == "up" else "lowers"
        return (
            f"{focus} {verb} {what} from {theirs} ({reference}: the best method without training)"
            f" to {mine}: {points(result.difference, decimals)} points,"
            f" {INTERVAL} {interval_text(interval.low, interval.high, decimals)}"
        )
    size = points(abs(result.difference), decimals).lstrip("+")
    relation = {
        "up": f"{size} points above",
        "down": f"{size} points below",
        "level": "level with",
    }[direction(result.difference)]
    text = (
        f"{focus} reaches {mine} {what}, {relation} the best method without training"
        f" ({reference}, {theirs})"
    )
    # If both always give equal answers, there is no uncertainty.
    if interval is None or interval.low == interval.high == 0:
        return text
    ends = interval_text(interval.low, interval.high, decimals)
    return f"{text}; the {INTERVAL}, {ends}, includes zero"


def precision(difference: float, interval: Interval | None) -> int:
    """Return the number of decimals for a difference and its interval in points."""
    ends = () if interval is None else (interval.low, interval.high)
    return telling_decimals(difference, *ends)


def _agreement(verdicts: Sequence[Verdict], intervals: Sequence[Interval | None]) -> str:
    """Return in how many settings the method in focus is ahead, and in how many significantly."""
    known = [
        (direction(result.difference), interval)
        for result, interval in zip(verdicts, intervals, strict=True)
        if result.difference is not None
    ]
    if len(verdicts) == 1 or not known:
        return ""
    who = "it"
    if len({result.focus for result in verdicts}) > 1:
        who = f"{method_title(verdicts[0].focus)}, or the best method where that was not run,"
    with_reference = "" if len(known) == len(verdicts) else " with a method without training"
    ahead = sum(sign == "up" for sign, _ in known)
    text = (
        f"; over {plural(len(known), 'setting')}{with_reference} {who} is ahead in {_number(ahead)}"
    )
    sure = [significance(interval) for _, interval in known if interval is not None]
    if not sure:
        return text
    among = "" if len(sure) == len(known) else f" of the {len(sure)} with an interval"
    if ahead:
        text += f", and significantly so in {_number(sure.count('up'))}{among}"
    if "down" in sure:
        text += f", and significantly behind in {sure.count('down')}{among}"
    return text


def _number(count: int) -> str:
    return str(count or "none")


def _standing(result: Verdict) -> str:
    """Return the rank of the method in focus among several trained ones."""
    scores = result.scores
    if len(scores.trained) < 2:
        return ""
    if result.rank == 1:
        return f" It is the best of {plural(result.of, 'method')}."
    best = max(scores.methods, key=lambda method: scores.primary(method).mean)
    if best == result.focus:
        return f" It shares the first rank of {plural(result.of, 'method')}."
    top = percent(scores.primary(best).mean, 1)
    return (
        f" It ranks {result.rank:g} of {plural(result.of, 'method')};"
        f" {method_title(best)} is best with {top}{_PERCENT}."
    )


def tiles(study: Study, comparisons: Comparisons) -> list[Tile]:
    """Return one tile per setting."""
    return [_tile(result, _interval(result, comparisons)) for result in study.verdicts]


def _tile(result: Verdict, interval: Interval | None) -> Tile:
    scores = result.scores
    value = scores.primary(result.focus)
    difference, detail, sure, sign = "", "", "", direction(result.difference)
    if result.reference is not None and result.difference is not None:
        decimals = precision(result.difference, interval)
        difference = points(result.difference, decimals)
        detail = f"vs {method_title(result.reference)}"
        if result.pairs > 1:
            detail += f", higher in {result.wins} of {plural(result.pairs, 'seed')}"
        if interval is not None:
            ends = interval_text(interval.low, interval.high, decimals)
            sure = f"{INTERVAL} {ends} ({interval.kind})"
            sign = significance(interval)
    return Tile(
        setting=scores.setting,
        title=setting_title(scores.setting),
        value=percent(value.mean),
        spread=spread_text(value.std),
        metric=f"{method_title(result.focus)}, {scores.title(scores.protocol.primary)}",
        difference=difference,
        sign=sign,
        detail=detail,
        interval=sure,
        place=f"rank {result.rank:g} of {result.of}" if result.of > 1 else "",
    )


def _measures(study: Study) -> str:
    single = all(partition.task == "single" for partition in study.partitions.values())
    return "Accuracies" if single else "Scores"


def compared(study: Study) -> str:
    """Return a sentence about what was compared."""
    seeds: Sequence[int] = study.seeds
    seed_text = f"{plural(len(seeds), 'seed')} ({', '.join(map(str, seeds))})"
    spread = ", mean ± standard deviation over seeds" if len(seeds) > 1 else ""
    return (
        f"{plural(len(study.methods), 'method')} in {plural(len(study.scores), 'setting')},"
        f" {seed_text}. {_measures(study)} in percent{spread}."
    )


def intervals_note(study: Study, comparisons: Comparisons) -> str:
    """Return an explanation of the intervals, empty if there are none."""
    if all(found.interval is None for found in comparisons.values()):
        return ""
    others = "another training seed" if len(study.seeds) == 1 else "other training seeds"
    return (
        f"{INTERVAL}: paired bootstrap over test images, or over whole classes where that is wider."
        f" What {others} would give is not in it."
    )
