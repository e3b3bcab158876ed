"""What a case of bad input is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.unit.bad_input.world import World

__all__ = ["Case"]


@dataclass(frozen=True)
class Case:
    """A way to spoil the project, what is run then, and what its one line must tell."""

    name: str
    spoil: Callable[[World], object]
    words: tuple[str, ...]
    tells: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
