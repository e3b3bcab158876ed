"""What ``fedmvp attributes stats`` prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fedmvp.cli.output import print_table, say

if TYPE_CHECKING:
    from fedmvp.attributes.stats import AttributeStats

__all__ = ["print_findings", "print_stats"]


def print_stats(figures: Mapping[str, AttributeStats]) -> None:
    """Print a row for each dataset."""
    print_table(
        (
            "dataset",
            "classes",
            "attributes",
            "fewest",
            "most",
            "characters",
            "words",
            "tokens",
            "shared",
            "identical",
            "naming",
        ),
        [
            (
                name,
                own.classes,
                own.attributes,
                *own.per_class,
                own.characters[0],
                own.words[0],
                own.tokens[0],
                len(own.shared),
                len(own.identical),
                len(own.naming),
            )
            for name, own in figures.items()
        ],
    )


def print_findings(found: AttributeStats) -> None:
    """Print what several classes share, and texts that name their class."""
    for text, owners in found.shared.items():
        say(f"shared: {text}: {', '.join(owners)}")
    for group in found.identical:
        say(f"identical: {', '.join(group)}")
    for name, text in found.naming:
        say(f"names its class: {name}: {text}")
