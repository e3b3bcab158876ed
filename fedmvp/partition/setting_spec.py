"""The form of an evaluation setting: one YAML file per setting, in a folder per suite.

Suites that ship with the package are the folders beside this file; a user's own are in the folder
that ``FEDMVP_SETTINGS`` names. To add a setting, only its YAML file is needed.
"""

from __future__ import annotations

import os
from pathlib import Path
from string import Formatter
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from fedmvp.config import AnnotationParams, Float, SchemeValue, Section, parse_section
from fedmvp.errors import ConfigError, nearest
from fedmvp.yaml_files import find_yaml, load_yaml, yaml_names

__all__ = [
    "GROUPS",
    "MAIN_FOLD",
    "NOT_TRANSFERRED",
    "Fold",
    "LeaveOneDomainOut",
    "Protocol",
    "Setting",
    "SingleSource",
    "TargetRule",
    "TrainRule",
    "load_setting",
    "setting_names",
]

MAIN_FOLD = "main"
"""Name of the only fold of a setting without several."""

_SHIPPED = Path(__file__).parent / "settings"

Protocol = Literal["base_to_new", "transfer", "multilabel"]

GROUPS: dict[str, tuple[str, ...]] = {
    "base_to_new": ("local", "base", "new"),
    "transfer": ("target", "source", "local"),
    "multilabel": ("global", "local", "zsl", "gzsl"),
}
"""Groups of targets that each protocol's metrics use."""

NOT_TRANSFERRED = ("source", "local")
"""Groups a transfer setting reports but leaves out of its mean."""

_OFFICIAL = (
    "Folds of the paper's public code (docs/method.md#official-folds); their mean is reported "
    "beside the mean of all folds."
)

Names = Annotated[tuple[str, ...], Field(min_length=1)]
FoldName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=60)]


def _as_list(value: Any) -> Any:
    """Make a list of a YAML sequence: pydantic would try the union's literal first."""
    return tuple(value) if isinstance(value, list) else value


class TrainRule(Section):
    """What the clients of a fold train on."""

    datasets: Annotated[Names | Literal["all"], BeforeValidator(_as_list)] = Field(
        default="all", description="Names of datasets, or `all` of data.datasets."
    )
    domains: Annotated[Names | Literal["all"], BeforeValidator(_as_list)] = "all"
    classes: Literal["all", "base", "seen"] = Field(
        default="all",
        description="`base`: the first half of a dataset's classes. `seen`: those its catalog "
        "entry does not list as unseen (many labels).",
    )
    unseen: Literal["refuse", "negatives"] = Field(
        default="refuse",
        description="Whether unseen classes are included in training as labels that no image has "
        "(many labels), as in FedMPT's code.",
    )


class TargetRule(Section):
    """A group of targets: test images that are classified among some classes."""

    group: Literal["local", "base", "new", "target", "source", "global", "zsl", "gzsl"] = Field(
        description="`local`, `base`, `new`: the metrics of base-to-new. `target` enters the mean "
        "of a transfer setting; `source` (what was trained on) and `local` (each client's own test "
        "images) are reported but do not. `global` (all test images), `zsl` and `gzsl` (those that "
        "show one of the classes): many labels."
    )
    each: Literal["client", "dataset", "domain"] = Field(
        default="dataset", description="One target per client, dataset, or dataset and domain."
    )
    datasets: Annotated[Names | Literal["trained", "others", "all"], BeforeValidator(_as_list)] = (
        Field(
            default="trained",
            description="Names of datasets; or those trained on, the others, or all listed ones.",
        )
    )
    domains: Annotated[Names | Literal["all"], BeforeValidator(_as_list)] = "all"
    classes: Literal["all", "base", "new", "seen", "unseen"] = "all"
    outputs: Literal["own", "all"] = Field(
        default="own",
        description="`all`: images are chosen by `classes`, scored among all (many labels; with "
        "`multilabel.empty_class: zero` FedMPT's rule).",
    )
    name: str | None = Field(
        default=None,
        description="Target name from {fold}, {dataset}, {domain}; by default the client's id, "
        "the dataset or the domain.",
    )

    @model_validator(mode="after")
    def _own_of_client(self) -> TargetRule:
        if (self.group == "local") != (self.each == "client"):
            raise ValueError("group local and each: client must be used together")
        chosen = (self.datasets, self.domains, self.classes, self.name)
        if self.each == "client" and chosen != ("trained", "all", "all", None):
            raise ValueError("a client's target has the client's own dataset, domain and classes")
        words = {"fold", "dataset", *(["domain"] if self.each == "domain" else [])}
        parts = list(Formatter().parse(self.name or ""))
        fields = {part[1] for part in parts} - {None}
        # Format widths and conversions are refused: they could make a text of any length.
        if not fields <= words or any(part[2] or part[3] for part in parts):
            raise ValueError(
                f"name may contain only {', '.join(f'{{{w}}}' for w in sorted(words))}"
            )
        return self


class Fold(Section):
    """One federation and its targets."""

    name: FoldName = MAIN_FOLD
    train: TrainRule
    targets: tuple[TargetRule, ...] = Field(min_length=1)


class LeaveOneDomainOut(Section):
    """Shorthand: a fold per held-out domain, trained on the others (MSST)."""

    datasets: Names
    held_out: Annotated[Names | Literal["all"], BeforeValidator(_as_list)] = "all"
    official: tuple[str, ...] = Field(default=(), description=_OFFICIAL)


class SingleSource(Section):
    """Shorthand: a fold per source domain, tested on the others (SSMT)."""

    datasets: Names
    sources: Annotated[Names | Literal["all"], BeforeValidator(_as_list)] = "all"
    official: tuple[str, ...] = Field(default=(), description=_OFFICIAL)


class Setting(Section):
    """An evaluation setting."""

    title: str = Field(min_length=1)
    protocol: Protocol
    split: Literal["by_image", "by_domain"] = Field(
        default="by_image",
        description="`by_image`: train on train images, test on test images. `by_domain`: all "
        "images of a domain train or all test, and a fold's two kinds of domains are disjoint.",
    )
    clients: Literal["per_dataset", "per_domain"] = Field(
        default="per_dataset", description="Whether a client's images come from one domain."
    )
    classes_per_client: int | None = Field(
        default=None, ge=1, description="Overrides partition.classes_per_client."
    )
    shots: int | None = Field(default=None, ge=1, description="Overrides partition.shots.")
    scheme: SchemeValue | None = Field(default=None, description="Overrides partition.scheme.")
    annotations: AnnotationParams | None = Field(
        default=None, description="Overrides partition.annotations."
    )
    min_labels: int = Field(
        default=0,
        ge=0,
        description="Images that show fewer classes are left out of training and testing (many "
        "labels).",
    )
    test: Literal["official", "cut", "train"] = Field(
        default="official",
        description="Test images: all the dataset's; the first of them, as many as training "
        "images; or the training images (many labels). FedMPT: the last two on VOC, MLRSNet.",
    )
    candidates: Literal["own", "all"] | None = Field(
        default=None, description="Overrides partition.candidates."
    )
    participation: Float | None = Field(
        default=None, gt=0, le=1, description="Overrides federation.participation."
    )
    folds: tuple[Fold, ...] = ()
    leave_one_domain_out: LeaveOneDomainOut | None = None
    single_source: SingleSource | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Setting:
        shorthand = self.leave_one_domain_out or self.single_source
        given = (bool(self.folds), bool(self.leave_one_domain_out), bool(self.single_source))
        if sum(given) != 1:
            raise ValueError("give exactly one of folds, leave_one_domain_out, single_source")
        if shorthand and self.protocol != "transfer":
            raise ValueError("domain shorthands need protocol: transfer")
        names = [fold.name for fold in self.folds]
        if len(set(names)) != len(names):
            raise ValueError("two folds have the same name")
        only_multi = (self.annotations, self.min_labels or None, self.test != "official" or None)
        rules = [rule for fold in self.folds for rule in (fold.train, *fold.targets)]
        others = [getattr(rule, "outputs", "own") != "own" for rule in rules]
        others += [getattr(rule, "unseen", "refuse") != "refuse" for rule in rules]
        if self.protocol != "multilabel" and (any(only_multi) or any(others)):
            raise ValueError(
                "annotations, min_labels, test, unseen and outputs need protocol: multilabel"
            )
        for rule in (rule for fold in self.folds for rule in fold.targets):
            if rule.group not in GROUPS[self.protocol]:
                raise ValueError(f"group {rule.group!r} is not one of protocol {self.protocol!r}")
        return self


def load_setting(suite: str, name: str) -> Setting:
    """Read the setting `name` of `suite`.

    Raises
    ------
    ConfigError
        When there is no such setting (the message names the most similar one), there are two, or
        it is not valid.
    """
    if not setting_names(suite):
        suites = sorted(
            {path.parent.name for folder in _roots() for path in folder.glob("*/*.yaml")}
        )
        raise ConfigError(
            "unknown suite", where="run.suite", value=suite, hint=nearest(suite, suites)
        )
    path = find_yaml(name, _folders(suite), what="setting", where=f"suite {suite}")
    return parse_section(Setting, load_yaml(path), str(path))


def setting_names(suite: str) -> tuple[str, ...]:
    """Return the names of a suite's settings, sorted."""
    return yaml_names(_folders(suite))


def _folders(suite: str) -> list[Path]:
    return [root / suite for root in _roots()]


def _roots() -> list[Path]:
    extra = os.environ.get("FEDMVP_SETTINGS")
    return [_SHIPPED, Path(extra)] if extra else [_SHIPPED]
