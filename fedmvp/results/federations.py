"""Imported results of federations of sites, beside those of the pipeline's own stages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedmvp.errors import DataError
from fedmvp.files import read_json, write_json
from fedmvp.results.files import COUNTS, FAILURES, METRICS, RECORD, ROUNDS
from fedmvp.results.key import RunKey, result_folders
from fedmvp.results.record import read_metrics, read_record
from fedmvp.results.rounds import Failure, read_failures, read_rounds

__all__ = [
    "ImportedFederation",
    "SiteScore",
    "is_federation",
    "read_counts",
    "read_federations",
    "write_counts",
]

_HINT = "run `fedmvp federation import` again"


@dataclass(frozen=True)
class SiteScore:
    """One site's scores on one group of its held-out images.

    Attributes
    ----------
    images : int
    numbers : mapping of str to float
        ``accuracy``; or, for images that show many classes, ``op``, ``or`` and ``of1`` at
        probability 0.5. Fractions.
    """

    site: str
    group: str
    images: int
    numbers: Mapping[str, float]


@dataclass(frozen=True)
class ImportedFederation:
    """A federation that sites trained on their own machines.

    Attributes
    ----------
    engine : str
        Software that carried its messages.
    rounds : int
        Number of finished rounds.
    scores : tuple of SiteScore
        For each site, in the plan's order, and each group whose counts the site released.
    metrics : mapping of str to float
        Metrics over all sites together.
    withheld : mapping of str to tuple of str
        By site, the groups whose counts it did not release.
    failures : tuple of Failure
        Updates that were not used.
    """

    key: RunKey
    engine: str
    sites: tuple[str, ...]
    rounds: int
    scores: tuple[SiteScore, ...]
    metrics: Mapping[str, float]
    withheld: Mapping[str, tuple[str, ...]]
    failures: tuple[Failure, ...]


def write_counts(folder: Path, counts: Mapping[str, Any]) -> None:
    """Write counts.json: what sites counted on their held-out images."""
    write_json(folder / COUNTS, dict(counts))


def read_counts(folder: Path) -> dict[str, Any]:
    """Return the content of counts.json."""
    content: dict[str, Any] = read_json(folder / COUNTS, _HINT)
    return content


def is_federation(folder: Path) -> bool:
    """Tell whether a result was imported from a federation: its record names the engine."""
    try:
        record = read_json(folder / RECORD)
    except DataError:
        return False
    return isinstance(record, dict) and isinstance(record.get("engine"), str)


def read_federations(results: Path) -> tuple[ImportedFederation, ...]:
    """Read all imported federations, sorted by name, method and seed.

    Raises
    ------
    DataError
        When a file is missing or not as declared.
    """
    found = (_read(folder) for folder in result_folders(results) if is_federation(folder))
    return tuple(sorted(found, key=lambda each: each.key))


def _read(folder: Path) -> ImportedFederation:
    record = read_record(folder / RECORD)
    counts = read_counts(folder)
    rows = read_rounds(folder / ROUNDS)
    try:
        sites = tuple(map(str, record.params["sites"]))
        scores = tuple(
            SiteScore(site, group, _images(entry), _numbers(entry))
            for site in sites
            for group, entry in counts["scores"].get(site, {}).items()
        )
        withheld = {
            site: tuple(groups) for site in sites if (groups := counts["withheld"].get(site))
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"not the counts of a federation ({type(error).__name__})",
            where=folder / COUNTS,
            hint=_HINT,
        ) from None
    return ImportedFederation(
        record.key,
        str(record.content["engine"]),
        sites,
        1 + max((row.round for row in rows), default=-1),
        scores,
        read_metrics(folder / METRICS),
        withheld,
        read_failures(folder / FAILURES),
    )


def _images(entry: Mapping[str, Any]) -> int:
    return int(entry["images"])


def _numbers(entry: Mapping[str, Any]) -> dict[str, float]:
    return {str(name): float(value) for name, value in entry["numbers"].items()}
