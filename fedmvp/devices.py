"""Which devices ``FEDMVP_DEVICE`` names: one, or several separated by commas."""

from __future__ import annotations

import os

__all__ = ["device_names"]


def device_names() -> tuple[str, ...]:
    """Return the names, at least one; the first is where all but clients' training is done."""
    return tuple(name.strip() for name in (os.environ.get("FEDMVP_DEVICE") or "cpu").split(","))
