"""Counts in words, for messages and pages."""

from __future__ import annotations

__all__ = ["count_text", "plural"]


def count_text(value: float) -> str:
    """Return a count with thousands separators: ``4,206,080``."""
    return f"{round(value):,}"


def plural(count: int, noun: str) -> str:
    """Return ``1 seed``, ``3 seeds``, ``1,200 classes``; of several words the last is changed."""
    ending = "" if count == 1 else "es" if noun.endswith("s") else "s"
    return f"{count_text(count)} {noun}{ending}"
