"""SVG charts as pure functions from data to markup, with the same bytes on every machine.

Colours, weights and dark mode are in the style sheet: a mark has only the CSS class of its series
(``focus``, ``ref-1``, ``c1`` …). Charts are small panels whose text stays readable on a phone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from fedmvp.report.svg_marks import (
    CHARACTER,
    coordinate,
    label_width,
    open_svg,
    path_data,
    rule,
    text_at,
)

__all__ = ["Line", "Mark", "Row", "area_grid", "dot_rows", "line_chart", "log_ticks", "nice_ticks"]

_WIDTH, _HEIGHT = 232.0, 160.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 44.0, 10.0, 10.0, 34.0


@dataclass(frozen=True)
class Line:
    """A series: points in data units, an optional band around them, the CSS class, its name."""

    name: str
    style: str
    xs: Sequence[float]
    ys: Sequence[float]
    half_widths: Sequence[float]


@dataclass(frozen=True)
class Mark:
    """A dot on a row: value and half width of its whisker in data units, and a tooltip."""

    style: str
    value: float
    half_width: float
    tooltip: str


@dataclass(frozen=True)
class Row:
    """A labelled row of dots, with a text at its right end."""

    label: str
    marks: Sequence[Mark]
    text: str = ""


def nice_ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Return about `count` round numbers that span [low, high], outermost ones included."""
    if high <= low:
        pad = abs(low) * 0.1 or 1.0
        low, high = low - pad, high + pad
    raw = (high - low) / count
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(m * magnitude for m in (1, 2, 2.5, 5, 10) if m * magnitude >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Return the powers of ten (thinned to at most six) that span [low, high], both positive."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    last = max(last, first + 1)
    step = math.ceil((last - first) / 5)
    return [10.0**power for power in range(first, last + step, step)]


def line_chart(
    title: str,
    lines: Sequence[Line],
    tick_text: Callable[[float], str],
    *,
    x_label: str = "round",
    logarithmic: bool = False,
    from_zero: bool = False,
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] | None = None,
    reference: float | None = None,
) -> Markup:
    """Draw lines with bands over rounds.

    Parameters
    ----------
    title : str
        Read out by screen readers and shown on hover.
    tick_text : callable
        Text of a value on the vertical axis.
    logarithmic : bool, default=False
        All values must then be positive.
    x_range, y_range : tuple of float, optional
        Smallest ranges of the axes, so that panels side by side can share them.
    reference : float, optional
        A value marked by a dashed horizontal line.
    """
    lows = [y - w for line in lines for y, w in zip(line.ys, line.half_widths, strict=True)]
    highs = [y + w for line in lines for y, w in zip(line.ys, line.half_widths, strict=True)]
    if logarithmic:
        lows = highs = [y for line in lines for y in line.ys]
    lows, highs = [*lows, *(y_range or ())], [*highs, *(y_range or ())]
    low = 0.0 if from_zero and not logarithmic else min(lows)
    y_ticks = log_ticks(low, max(highs)) if logarithmic else nice_ticks(low, max(highs))
    x_values = [*(x for line in lines for x in line.xs), *(x_range or ())]
    x_low, x_high = min(x_values), max(x_values)
    x_ticks = _round_ticks(x_low, x_high)

    def x_at(x: float) -> float:
        share = (x - x_low) / (x_high - x_low) if x_high > x_low else 0.5
        return _LEFT + 6 + share * (_WIDTH - _LEFT - _RIGHT - 12)

    def y_at(y: float) -> float:
        bottom, top = y_ticks[0], y_ticks[-1]
        if logarithmic:
            y, bottom, top = math.log10(y), math.log10(bottom), math.log10(top)
        share = min(max((y - bottom) / (top - bottom), 0.0), 1.0)
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)

    parts = [open_svg(title, _WIDTH, _HEIGHT)]
    for tick in y_ticks:
        parts.append(rule(_LEFT, y_at(tick), _WIDTH - _RIGHT, y_at(tick)))
        parts.append(text_at(_LEFT - 6, y_at(tick) + 3.5, tick_text(tick), "end"))
    if reference is not None:
        parts.append(rule(_LEFT, y_at(reference), _WIDTH - _RIGHT, y_at(reference), "reference"))
    for tick in x_ticks:
        parts.append(text_at(x_at(tick), _HEIGHT - _BOTTOM + 15, f"{tick:.0f}", "middle"))
    parts.append(text_at((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 4, x_label, "middle", "axis"))
    for line in lines:
        parts.append(_line(line, x_at, y_at, banded=not logarithmic))
    return Markup("".join(parts) + "</svg>")  # noqa: S704  every text in it went through escape


def _line(
    line: Line, x_at: Callable[[float], float], y_at: Callable[[float], float], *, banded: bool
) -> str:
    points = [(x_at(x), y_at(y)) for x, y in zip(line.xs, line.ys, strict=True)]
    parts = [f'<g class="{line.style}"><title>{escape(line.name)}</title>']
    if banded and any(line.half_widths):
        upper = [
            (x_at(x), y_at(y + w))
            for x, y, w in zip(line.xs, line.ys, line.half_widths, strict=True)
        ]
        lower = [
            (x_at(x), y_at(y - w))
            for x, y, w in zip(line.xs, line.ys, line.half_widths, strict=True)
        ]
        parts.append(f'<path class="band" d="{path_data([*upper, *reversed(lower)])}z"/>')
    parts.append(f'<path class="line" d="{path_data(points)}"/>')
    x, y = points[-1]
    parts.append(f'<circle class="dot" cx="{coordinate(x)}" cy="{coordinate(y)}" r="2.6"/></g>')
    return "".join(parts)


def dot_rows(
    title: str,
    rows: Sequence[Row],
    tick_text: Callable[[float], str],
    *,
    width: float,
    label_width: float,
    row_height: float = 22.0,
    reference: float | None = None,
    domain: tuple[float, float] | None = None,
) -> Markup:
    """Draw labelled rows of dots on a common axis.

    Parameters
    ----------
    width : float
        Width of the whole chart, in units in which letters are 11 high.
    label_width : float
        Room for the labels, see `label_width`; longer ones are cut, with the full text as tooltip.
    reference : float, optional
        A value marked by a dashed vertical line.
    domain : tuple of float, optional
        Smallest range of the axis, so that panels side by side can share one.
    """
    values = [
        v
        for row in rows
        for m in row.marks
        for v in (m.value - m.half_width, m.value + m.half_width)
    ]
    values += [reference] if reference is not None else []
    values += list(domain or ())
    ticks = nice_ticks(max(min(values), 0.0), max(values), 4 if width < 350 else 5)
    text_width = 44.0 if any(row.text for row in rows) else 8.0
    left, right = label_width, width - text_width
    bottom = 6 + row_height * len(rows)
    height = bottom + 20

    def x_at(x: float) -> float:
        share = min(max((x - ticks[0]) / (ticks[-1] - ticks[0]), 0.0), 1.0)
        return left + 6 + share * (right - left - 12)

    parts = [open_svg(title, width, height)]
    for tick in ticks:
        parts.append(rule(x_at(tick), 4, x_at(tick), bottom))
        parts.append(text_at(x_at(tick), height - 5, tick_text(tick), "middle"))
    if reference is not None:
        parts.append(rule(x_at(reference), 4, x_at(reference), bottom, "reference"))
    for index, row in enumerate(rows):
        y = 6 + row_height * (index + 0.5)
        limit = round((label_width - 12) / CHARACTER)
        label = row.label if len(row.label) <= limit else f"{row.label[: limit - 1]}…"
        parts.append(f"<g><title>{escape(row.label)}</title>")
        parts.append(text_at(left - 6, y + 4, label, "end", "label") + "</g>")
        if len(row.marks) > 1:
            ends = [x_at(mark.value) for mark in row.marks]
            parts.append(rule(min(ends), y, max(ends), y, "span"))
        parts.extend(_mark(mark, x_at, y) for mark in row.marks)
        if row.text:
            parts.append(text_at(width - 2, y + 4, row.text, "end", "value"))
    return Markup("".join(parts) + "</svg>")  # noqa: S704  every text in it went through escape


def area_grid(
    title: str,
    labels: Sequence[str],
    counts: Sequence[Sequence[int]],
    x_label: str,
    left: float | None = None,
) -> Markup:
    """Draw a count per row and column as a disc whose area is the count.

    Parameters
    ----------
    labels : sequence of str
        Labels of the rows; only the first and the last are drawn if rows are too thin for text.
    counts : sequence of sequences of int
        A sequence per row, all of equal length.
    left : float, optional
        Room for labels, so that several grids can be aligned; by default what the labels need.
    """
    width = 640.0
    row_height = max(3.0, min(14.0, 560 / len(counts)))
    left = label_width(labels) if left is None else left
    step = (width - left - 10) / max(len(counts[0]), 1)
    bottom = 6 + row_height * len(counts)
    largest = max(max(row) for row in counts) or 1
    widest = min(row_height, max(step, 3.0)) * 0.96
    # A disc is a line of length zero with round ends: discs of one size share one short path.
    discs: dict[str, list[str]] = {}
    for index, row in enumerate(counts):
        y = coordinate(6 + row_height * (index + 0.5))
        for column, count in enumerate(row):
            if count:
                size = coordinate(max(widest * math.sqrt(count / largest), 1.0))
                discs.setdefault(size, []).append(
                    f"M{coordinate(left + step * (column + 0.5))} {y}h0"
                )
    parts = [open_svg(title, width, bottom + 18), rule(left, bottom, width - 10, bottom)]
    for index, label in enumerate(labels):
        if row_height >= 9 or index in (0, len(labels) - 1):
            baseline = 6 + row_height * (index + 0.5) + 3.5
            parts.append(text_at(left - 6, baseline, label, "end", "label"))
    for size, found in sorted(discs.items(), key=lambda item: float(item[0])):
        parts.append(f'<path class="disc" stroke-width="{size}" d="{"".join(found)}"/>')
    parts.append(text_at((left + width) / 2, bottom + 14, x_label, "middle", "axis"))
    return Markup("".join(parts) + "</svg>")  # noqa: S704  every text in it went through escape


def _round_ticks(first: float, last: float) -> list[float]:
    """Return the first and the last training round, and round numbers well between them."""
    apart = 0.12 * (last - first)
    between = [
        t for t in nice_ticks(first, last, 5) if t == int(t) and first + apart < t < last - apart
    ]
    return [first, *between, last] if last > first else [first]


def _mark(mark: Mark, x_at: Callable[[float], float], y: float) -> str:
    x = x_at(mark.value)
    whisker = ""
    if mark.half_width:
        start, end = x_at(mark.value - mark.half_width), x_at(mark.value + mark.half_width)
        whisker = f'<path class="line" d="M{coordinate(start)} {coordinate(y)}H{coordinate(end)}"/>'
    return (
        f'<g class="{mark.style}"><title>{escape(mark.tooltip)}</title>{whisker}'
        f'<circle class="dot" cx="{coordinate(x)}" cy="{coordinate(y)}" r="4"/></g>'
    )
