"""The sentences of the page that depend on the data; they claim only what the numbers show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fedmvp.report.estimates import Verdict
from fedmvp.report.format import percent, plural, points
from fedmvp.report.protocols import method_title, setting_title
from fedmvp.report.study import Study

__all__ = ["Tile", "compared", "headline", "tiles"]

# The sign stays on the line of its number.
_PERCENT = "\N{NO-BREAK SPACE}%"


@dataclass(frozen=True)
class Tile:
    """The result of a setting in a few words; `sign` is ``up``, ``down`` or ``level``."""

    setting: str
    title: str
    value: str
    spread: str
    metric: str
    difference: str
    sign: str
    detail: str
    place: str


def headline(study: Study) -> str:
    """Return the main result: the first setting in full, then how many settings agree."""
    verdicts = study.verdicts
    text = _first(verdicts[0])
    comparable = [v for v in verdicts if v.difference is not None]
    if len(verdicts) > 1 and comparable:
        above = sum(_sign(v) == "up" for v in comparable)
        names = {v.focus for v in comparable}
        who = method_title(names.pop()) if len(names) == 1 else "The best method"
        text += (
            f" {who} scores above the best zero-shot method in {above} of"
            f" {plural(len(comparable), 'setting')}."
        )
    return text


def _first(result: Verdict) -> str:
    scores = result.scores
    value = percent(scores.primary(result.focus).mean)
    metric = scores.protocol.title(scores.protocol.primary)
    where = setting_title(scores.setting)
    start = f"{where}: {method_title(result.focus)} reaches {value}{_PERCENT} {metric}"
    if result.reference is None or result.difference is None:
        return f"{start}.{_standing(result)}"
    reference = method_title(result.reference)
    theirs = percent(scores.primary(result.reference).mean)
    relation = {
        "up": f"{points(result.difference).lstrip('+')} points above",
        "down": f"{points(-result.difference).lstrip('+')} points below",
        "level": "level with",
    }[_sign(result)]
    return (
        f"{start}, {relation} the best zero-shot method ({reference}, {theirs}{_PERCENT})."
        f"{_standing(result)}"
    )


def _standing(result: Verdict) -> str:
    """Say where the method in focus stands among several trained ones."""
    scores = result.scores
    if len(scores.trained) < 2:
        return ""
    if result.rank == 1:
        return f" It is the best of {plural(result.of, 'method')}."
    best = max(scores.methods, key=lambda method: scores.primary(method).mean)
    if best == result.focus:
        return f" It shares the first rank of {plural(result.of, 'method')}."
    top = percent(scores.primary(best).mean)
    return (
        f" It ranks {result.rank:g} of {plural(result.of, 'method')};"
        f" {method_title(best)} is best with {top}{_PERCENT}."
    )


def tiles(study: Study) -> list[Tile]:
    """Return one tile per setting."""
    return [_tile(result) for result in study.verdicts]


def _tile(result: Verdict) -> Tile:
    scores = result.scores
    value = scores.primary(result.focus)
    detail = ""
    if result.reference is not None:
        detail = f"vs {method_title(result.reference)}"
        if result.pairs > 1:
            detail += f", higher in {result.wins} of {plural(result.pairs, 'seed')}"
    return Tile(
        setting=scores.setting,
        title=setting_title(scores.setting),
        value=percent(value.mean),
        spread=percent(value.std),
        metric=f"{method_title(result.focus)}, {scores.protocol.title(scores.protocol.primary)}",
        difference="" if result.difference is None else points(result.difference),
        sign=_sign(result),
        detail=detail,
        place=f"rank {result.rank:g} of {result.of}" if result.of > 1 else "",
    )


def compared(study: Study) -> str:
    """Return what was compared, in one sentence."""
    seeds: Sequence[int] = study.seeds
    seed_text = f"{plural(len(seeds), 'seed')} ({', '.join(map(str, seeds))})"
    return (
        f"{plural(len(study.methods), 'method')} in {plural(len(study.scores), 'setting')},"
        f" {seed_text}. Accuracies in percent, mean ± standard deviation over seeds."
    )


def _sign(result: Verdict) -> str:
    # What prints as 0.00 points is no difference.
    rounded = round(100 * (result.difference or 0.0), 2)
    return "up" if rounded > 0 else "down" if rounded < 0 else "level"
