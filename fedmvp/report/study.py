"""All that a report is made from, read once and scored once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from fedmvp.partition.model import Partition
from fedmvp.partition.partition_files import load_partition
from fedmvp.report.estimates import (
    FOCUS,
    SettingScores,
    Verdict,
    rank,
    score_setting,
    verdict,
)
from fedmvp.report.protocols import protocol_of
from fedmvp.report.published import PublishedTable, published_tables
from fedmvp.results.federations import ImportedFederation, is_federation, read_federations
from fedmvp.results.runs import Run, read_runs

__all__ = ["DataRow", "Study", "Subject", "load_study"]

_T = TypeVar("_T")


@dataclass(frozen=True)
class DataRow:
    """A dataset of the study, as it was on the machine that listed its images.

    Attributes
    ----------
    splits : mapping of str to int
        Number of images in train, val and test.
    split_kind : {"file", "official", "generated"}
        Where the split comes from; numbers on a generated one cannot be compared with papers.
    split_detail : str
        The same in one line.
    subset : bool
        Whether only a part of the dataset was used, on purpose.
    """

    name: str
    title: str
    classes: int
    domains: int
    splits: Mapping[str, int]
    split_kind: str
    split_detail: str
    subset: bool


@dataclass(frozen=True)
class Subject:
    """The page's title, and the suite and backbone that it reports on.

    Attributes
    ----------
    profile : str
        Name of the params profile, printed in the header.
    suite, backbone, pretrained : str
        Settings folder, CLIP model and its weights; they decide which published numbers are shown
        beside ours.
    setting_titles : mapping of setting to str
        Long titles, printed where a setting is introduced.
    data : tuple of DataRow
        The datasets, in the order of the params.
    warnings : tuple of str
        Reservations about the numbers as a whole, in sentences.
    """

    profile: str
    title: str = "FedMVP"
    suite: str = ""
    backbone: str = ""
    pretrained: str = ""
    setting_titles: Mapping[str, str] = field(default_factory=dict)
    data: tuple[DataRow, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Study:
    """Runs, their partitions and scores.

    Attributes
    ----------
    methods : tuple of str
        Methods with at least one run, in the order of the params.
    scores, partitions, published
        By setting, in the order of the params.
    missing : tuple of str
        ``setting/method/seed`` that were requested and have no results.
    federations : tuple of ImportedFederation
        All imported results of federations of sites.
    """

    subject: Subject
    methods: tuple[str, ...]
    runs: tuple[Run, ...]
    scores: Mapping[str, SettingScores]
    partitions: Mapping[str, Partition]
    published: Mapping[str, tuple[PublishedTable, ...]]
    missing: tuple[str, ...]
    federations: tuple[ImportedFederation, ...] = ()

    def runs_of(self, setting: str, method: str) -> tuple[Run, ...]:
        """Return the seeds of one method in one setting."""
        return tuple(r for r in self.runs if (r.setting, r.method) == (setting, method))

    def measure(self, setting: str) -> str:
        """Return the measure by which a target is scored."""
        return "mAP" if self.partitions[setting].task == "multi" else "accuracy"

    def trained_in(self, setting: str) -> tuple[str, ...]:
        """Return the methods with rounds, in order."""
        scores = self.scores[setting]
        return tuple(method for method in scores.methods if method in scores.trained)

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """The result of the method in focus, for each setting."""
        return tuple(verdict(scores) for scores in self.scores.values())

    @property
    def seeds(self) -> tuple[int, ...]:
        """All seeds, ascending."""
        return tuple(sorted({run.seed for run in self.runs}))

    @property
    def ranks(self) -> Mapping[str, Mapping[str, float]]:
        """Rank of every method, by setting, on the setting's primary metric."""
        return {
            setting: rank({method: scores.primary(method).mean for method in scores.methods})
            for setting, scores in self.scores.items()
        }

    @property
    def styles(self) -> Mapping[str, str]:
        """The CSS class of every method's marks, the same throughout the page."""
        trained = {run.method for run in self.runs if run.trained}
        styles, plain, references = {}, 0, 0
        for method in self.methods:
            if method == FOCUS:
                styles[method] = "focus"
            elif method in trained:
                plain += 1
                styles[method] = f"c{(plain - 1) % 10 + 1}"
            else:
                references += 1
                styles[method] = f"ref{(references - 1) % 3 + 1}"
        return styles


def load_study(
    results_dir: Path,
    partitions_dir: Path,
    subject: Subject,
    *,
    settings: Sequence[str] | None,
    methods: Sequence[str] | None,
    seeds: Sequence[int] | None,
) -> Study:
    """Read results and partitions and score them; None means all that are in `results_dir`.

    Raises
    ------
    DataError
        When there are no results, or a file is missing or malformed.
    """
    found = _found(results_dir)
    wanted_settings = tuple(settings) if settings is not None else _unique(f[0] for f in found)
    wanted_methods = tuple(methods) if methods is not None else _unique(f[1] for f in found)
    wanted_seeds = tuple(seeds) if seeds is not None else _unique(f[2] for f in found)
    runs = read_runs(results_dir, wanted_settings, wanted_methods, wanted_seeds)
    present = {(run.setting, run.method, run.seed) for run in runs}
    with_runs = [s for s in wanted_settings if any(run.setting == s for run in runs)]
    partitions = {s: load_partition(partitions_dir / f"{s}.json") for s in with_runs}
    scores = {
        setting: score_setting(
            setting,
            protocol_of(partition.protocol),
            [run for run in runs if run.setting == setting],
            [name for target in partition.targets for name in (target.name, target.dataset)],
        )
        for setting, partition in partitions.items()
    }
    published = published_tables(subject.suite, subject.backbone, subject.pretrained)
    return Study(
        subject=subject,
        methods=tuple(m for m in wanted_methods if any(run.method == m for run in runs)),
        runs=runs,
        scores=scores,
        partitions=partitions,
        published={
            setting: tuple(
                table
                for table in published
                if table.setting == setting
                and any(table.fits(run.params) for run in runs if run.setting == setting)
            )
            for setting in scores
        },
        missing=tuple(
            f"{setting}/{method}/seed{seed}"
            for setting in wanted_settings
            for method in wanted_methods
            for seed in wanted_seeds
            if (setting, method, seed) not in present
        ),
        federations=read_federations(results_dir),
    )


def _found(results_dir: Path) -> list[tuple[str, str, int]]:
    """Return (setting, method, seed) of every run folder; numbers as numbers, names in order."""
    return sorted(
        (folder.parent.parent.name, folder.parent.name, int(folder.name.removeprefix("seed")))
        for folder in results_dir.glob("*/*/seed*")
        if folder.is_dir()
        and folder.name.removeprefix("seed").isdigit()
        and not is_federation(folder)
    )


def _unique(items: Iterable[_T]) -> tuple[_T, ...]:
    return tuple(dict.fromkeys(items))
