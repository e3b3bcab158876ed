"""Formatting of numbers: files contain fractions and bytes, the page shows percent and units."""

from __future__ import annotations

import math

__all__ = [
    "bytes_text",
    "fixed",
    "interval_text",
    "percent",
    "points",
    "significant",
    "spread_text",
    "telling_decimals",
]

MISSING = "—"
_MINUS = "\N{MINUS SIGN}"
_BYTE_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def percent(fraction: float | None, decimals: int = 2) -> str:
    """Return a fraction as percent without the sign: 0.4123 is ``41.23``; None is a dash."""
    return MISSING if fraction is None else _signed_zero(f"{100 * fraction:.{decimals}f}")


def spread_text(std: float | None) -> str:
    """Return a standard deviation of fractions in percentage points, empty where there is none."""
    return "" if std is None else percent(std)


def points(difference: float | None, decimals: int = 2) -> str:
    """Return a difference of fractions in percentage points, signed: ``+1.80``, ``−0.42``."""
    if difference is None:
        return MISSING
    text = _signed_zero(f"{100 * difference:.{decimals}f}")
    if float(text.replace(_MINUS, "-")) == 0:
        return f"±{text}"
    return text if text.startswith(_MINUS) else f"+{text}"


def telling_decimals(*differences: float) -> int:
    """Return 1, or 2 if one of these differences of fractions would print as 0.0 points."""
    return 2 if any(d and round(100 * d, 1) == 0 for d in differences) else 1


def interval_text(low: float, high: float, decimals: int) -> str:
    """Return an interval of fractions in percentage points: ``−0.3 to +1.2``, ``0.0 to +0.8``."""
    return " to ".join(points(end, decimals).removeprefix("±") for end in (low, high))


def fixed(value: float | None, decimals: int = 6) -> str:
    """Return the form of a float in CSV files: fixed decimals, empty for None."""
    if value is None:
        return ""
    return _signed_zero(f"{value:.{decimals}f}").replace(_MINUS, "-")


def significant(value: float, digits: int = 3) -> str:
    """Return `value` with `digits` significant digits and no exponent: ``0.00300`` is ``0.003``."""
    if value == 0:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{decimals}f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text).replace("-", _MINUS)


def bytes_text(value: float) -> str:
    """Return a size in decimal units with three digits: ``39.4 MB`` (1 MB = 1,000,000 bytes)."""
    size, unit = float(value), 0
    # 999.5 already prints as 1000 with three digits.
    while size >= 999.5 and unit < len(_BYTE_UNITS) - 1:
        size, unit = size / 1000, unit + 1
    decimals = 0 if unit == 0 or size >= 99.95 else 1 if size >= 9.995 else 2
    return f"{size:.{decimals}f} {_BYTE_UNITS[unit]}"


def _signed_zero(text: str) -> str:
    if text.startswith("-"):
        return text[1:] if float(text) == 0 else _MINUS + text[1:]
    return text
