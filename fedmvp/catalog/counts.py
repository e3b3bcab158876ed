"""Sizes a catalog entry declares of its dataset."""

from __future__ import annotations

from pydantic import Field

from fedmvp.config import Section

__all__ = ["Counts"]


class Counts(Section):
    """Declared sizes; each that is given is checked, and enforced unless it is unverified."""

    images: int | None = Field(default=None, ge=1)
    train: int | None = Field(default=None, ge=1)
    val: int | None = Field(default=None, ge=0)
    test: int | None = Field(default=None, ge=1)
    domains: dict[str, int] = Field(default_factory=dict)
    test_positives: dict[str, int] = Field(
        default_factory=dict, description="Test images that show a class, by its name."
    )
