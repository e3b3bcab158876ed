"""The elements of SVG charts: text, rules, paths, and numbers in a short form."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from markupsafe import escape

__all__ = ["CHARACTER", "coordinate", "label_width", "open_svg", "path_data", "rule", "text_at"]

CHARACTER = 5.7
"""Mean width of a character of the 11 px labels."""


def label_width(labels: Iterable[str]) -> float:
    """Return the width that labels need, at most a little more than a third of the chart."""
    longest = max((len(label) for label in labels), default=0)
    return min(12 + CHARACTER * longest, 136.0)


def open_svg(title: str, width: float, height: float) -> str:
    """Return the start of a chart with its title, which is read out and shown on hover."""
    return (
        f'<svg class="chart" viewBox="0 0 {coordinate(width)} {coordinate(height)}" role="img"'
        f' aria-label="{escape(title)}"><title>{escape(title)}</title>'
    )


def text_at(x: float, y: float, text: str, anchor: str, style: str = "tick") -> str:
    """Return a text; `anchor` is start, middle or end."""
    return (
        f'<text class="{style}" x="{coordinate(x)}" y="{coordinate(y)}"'
        f' text-anchor="{anchor}">{escape(text)}</text>'
    )


def rule(x1: float, y1: float, x2: float, y2: float, style: str = "grid") -> str:
    """Return a straight line."""
    data = f"M{coordinate(x1)} {coordinate(y1)}L{coordinate(x2)} {coordinate(y2)}"
    return f'<path class="{style}" d="{data}"/>'


def path_data(points: Sequence[tuple[float, float]]) -> str:
    """Return the points of a line as the data of a path."""
    return "".join(
        f"{'ML'[i > 0]}{coordinate(x)} {coordinate(y)}" for i, (x, y) in enumerate(points)
    )


def coordinate(value: float) -> str:
    """Return a coordinate with one decimal: a tenth of a pixel is enough, and short."""
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text
