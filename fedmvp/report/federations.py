"""Federations of sites on the page and in tables/federations.csv: what the sites counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fedmvp.methods import method_title
from fedmvp.report.format import fixed
from fedmvp.results.federations import ImportedFederation, SiteScore
from fedmvp.wording import plural

__all__ = ["FEDERATION_COLUMNS", "FederationPart", "federation_parts", "federation_rows"]

FEDERATION_COLUMNS = (
    "federation",
    "method",
    "seed",
    "engine",
    "rounds",
    "site",
    "group",
    "images",
    "metric",
    "value",
)
_TITLES = {"accuracy": "Accuracy", "op": "Precision", "or": "Recall", "of1": "F1"}


@dataclass(frozen=True)
class FederationPart:
    """One federation on the page.

    Attributes
    ----------
    columns : tuple of str
        Titles of the numbers.
    rows : tuple of (site, group, images, numbers)
        Numbers in percent, as text; the last rows are all sites together.
    """

    name: str
    sentence: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, str, str, tuple[str, ...]], ...]


def federation_parts(federations: Sequence[ImportedFederation]) -> list[FederationPart]:
    """Return what the page shows of each federation."""
    return [_part(each) for each in federations]


def federation_rows(federations: Sequence[ImportedFederation]) -> Iterator[dict[str, Any]]:
    """Yield the rows of federations.csv: a number each, sites first, then all together."""
    for one in federations:
        head = {
            "federation": one.key.setting,
            "method": one.key.method,
            "seed": one.key.seed,
            "engine": one.engine,
            "rounds": one.rounds,
        }
        for score in (*one.scores, *_together(one)):
            for metric, value in score.numbers.items():
                yield {
                    **head,
                    "site": score.site,
                    "group": score.group,
                    "images": score.images,
                    "metric": metric,
                    "value": fixed(value),
                }


def _part(one: ImportedFederation) -> FederationPart:
    names = tuple(dict.fromkeys(name for score in one.scores for name in score.numbers))
    rows = tuple(
        (score.site, score.group, str(score.images), tuple(_percent(score, n) for n in names))
        for score in (*one.scores, *_together(one))
    )
    return FederationPart(one.key.setting, _sentence(one), tuple(_TITLES[n] for n in names), rows)


def _sentence(one: ImportedFederation) -> str:
    said = (
        f"{method_title(one.key.method)}, seed {one.key.seed}: "
        f"{plural(len(one.sites), 'site')}, {plural(one.rounds, 'round')} over {one.engine}."
    )
    if one.failures:
        said += f" {plural(len(one.failures), 'update')} missed."
    kept = "; ".join(f"{site} ({', '.join(groups)})" for site, groups in one.withheld.items())
    return f"{said} Kept to themselves: {kept}." if kept else said


def _together(one: ImportedFederation) -> Iterator[SiteScore]:
    """Yield each group over all sites, from the counts that were added up."""
    for group in dict.fromkeys(score.group for score in one.scores):
        images = sum(score.images for score in one.scores if score.group == group)
        ends = dict.fromkeys(n for s in one.scores if s.group == group for n in s.numbers)
        keys = {name: group if name == "accuracy" else f"{group}_{name}" for name in ends}
        numbers = {name: one.metrics[key] for name, key in keys.items() if key in one.metrics}
        yield SiteScore("all", group, images, numbers)


def _percent(score: SiteScore, name: str) -> str:
    return f"{100 * score.numbers[name]:.1f}" if name in score.numbers else ""
