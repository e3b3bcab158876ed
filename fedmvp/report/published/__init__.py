"""Numbers printed in papers, kept separate from what this pipeline measured.

A published number is never averaged or ranked with measured ones, nor marked as best: it has its
own type, its own rows and its own CSV file. It is shown only for the suite (a folder here) and
the backbone for which it was published.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedmvp.errors import DataError
from fedmvp.yaml_files import load_yaml

__all__ = ["EVIDENCE", "Published", "PublishedRow", "PublishedTable", "published_tables"]

# How well a number is documented, weakest last.
EVIDENCE: Mapping[str, str] = {
    "log": "read in the authors' published run log",
    "repository": "read in a picture of a table in the authors' published code",
    "secondary": "read in a public note about the paper, not in the paper itself",
    "quoted": "quoted elsewhere as the paper's, not found in what we could read",
    "unverified": "unverified, not checked against the paper; averages were recomputed and agree",
}
_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Published:
    """A number from a paper, as a fraction."""

    value: float


@dataclass(frozen=True)
class PublishedRow:
    """The published numbers of one method, by metric key of the measured metrics."""

    title: str
    method: str
    evidence: str
    values: Mapping[str, Published]


@dataclass(frozen=True)
class PublishedTable:
    """Numbers from one source for one setting.

    Attributes
    ----------
    requires : mapping of str to value
        Params, ``section.entry``, that a measured run must have for the numbers to be comparable.
    """

    setting: str
    source: str
    conditions: str
    rows: tuple[PublishedRow, ...]
    requires: Mapping[str, Any] = field(default_factory=dict)

    def fits(self, params: Mapping[str, Any]) -> bool:
        """Tell whether a run with these params follows the rules of the published numbers.

        Parameters
        ----------
        params : mapping
            The params of run.json, sections of entries.
        """
        return all(_entry(params, key) == value for key, value in self.requires.items())


def published_tables(
    suite: str, backbone: str, pretrained: str, folder: Path = _FOLDER
) -> tuple[PublishedTable, ...]:
    """Return the published tables of a suite, none for another backbone.

    Parameters
    ----------
    backbone, pretrained : str
        Name of the CLIP model and of its weights.

    Raises
    ------
    DataError
        When a data file lacks a key, or a value is not a percentage or not a known evidence.
    """
    tables: list[PublishedTable] = []
    for path in sorted((folder / suite).glob("*.yaml")) if suite else ():
        content = load_yaml(path)
        try:
            if backbone in content["backbones"] and pretrained == content["pretrained"]:
                tables += [_table(table, path) for table in content["tables"]]
        except (KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"not a table of published numbers ({error!r})",
                where=path.name,
                hint="restore it with `git checkout`",
            ) from None
    return tuple(tables)


def _table(table: Mapping[str, Any], path: Path) -> PublishedTable:
    rows = tuple(_row(row, path) for row in table["rows"])
    requires = dict(table.get("requires", {}))
    return PublishedTable(table["setting"], table["source"], table["conditions"], rows, requires)


def _entry(params: Mapping[str, Any], key: str) -> Any:
    section, name = key.split(".")
    return params.get(section, {}).get(name)


def _row(row: Mapping[str, Any], path: Path) -> PublishedRow:
    if row["evidence"] not in EVIDENCE:
        raise DataError(
            "unknown evidence",
            where=path.name,
            value=row["evidence"],
            hint=f"use one of {', '.join(EVIDENCE)}",
        )
    for key, value in row["percent"].items():
        if not 0 <= value <= 100:
            raise DataError(
                f"{key!r} is not a percentage",
                where=path.name,
                value=value,
                hint="write percent, e.g. 78.27",
            )
    values = {key: Published(value / 100) for key, value in row["percent"].items()}
    return PublishedRow(row["title"], row["method"], row["evidence"], values)
