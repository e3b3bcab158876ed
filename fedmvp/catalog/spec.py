"""The form of a dataset's YAML file in ``fedmvp/catalog/datasets``, validated.

A user's own entries are in the folder that ``FEDMVP_CATALOG`` names; they are read like the shipped
ones. To add a dataset, only its YAML file is needed.
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from fedmvp.catalog.cameras import Camera
from fedmvp.catalog.counts import Counts
from fedmvp.catalog.layouts import DomainClassFolders, Layouts, SceneRecipes, SplitFile, SplitRule
from fedmvp.catalog.sources import RelativePath, Source
from fedmvp.config import Section, parse_section
from fedmvp.errors import ConfigError
from fedmvp.yaml_files import find_yaml, load_yaml, yaml_names

__all__ = [
    "DEFAULT_DOMAIN",
    "DatasetSpec",
    "Named",
    "SentenceParts",
    "SentenceSpec",
    "dataset_names",
    "load_spec",
]

DEFAULT_DOMAIN = "default"
"""The only domain of a dataset that declares none."""

_WITH_DOMAINS = "domain_class_folders and scene_recipes"
_SHIPPED = Path(__file__).parent / "datasets"


def _one_line(text: str) -> str:
    if text != text.strip():
        raise ValueError("must not begin or end with a space")
    if not text.isprintable():
        raise ValueError("must be printable text of one line")
    return text


Text = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_one_line)]
DatasetName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=60)]


class Named(Section):
    """A class or domain: its name in texts, and its folder on disk."""

    name: Text
    folder: Annotated[RelativePath, Field(min_length=1, max_length=1000)]


def _named(value: Any) -> Any:
    """Turn a plain name into an entry whose folder has the same name."""
    if isinstance(value, str):
        return {"name": value, "folder": value}
    if isinstance(value, dict) and "name" in value:
        return {"folder": value["name"], **value}
    return value


NamedEntry = Annotated[Named, BeforeValidator(_named)]


def _class_table(value: Any) -> Any:
    """Read a block of text with a class per line, ``folder: name`` or just the name.

    Long lists are text because a thousand YAML nodes take seconds to parse.
    """
    if not isinstance(value, str):
        return value
    return [_class_row(line.strip()) for line in value.splitlines() if line.strip()]


def _class_row(line: str) -> Any:
    folder, colon, name = line.partition(": ")
    return {"name": name, "folder": folder} if colon else line


ClassEntries = Annotated[tuple[NamedEntry, ...], BeforeValidator(_class_table), Field(min_length=2)]


class SentenceParts(Section):
    """Start of an attribute sentence: ``{prefix} {class}, {suffix}{clause}``."""

    prefix: Text
    suffix: str = ""


class SentenceSpec(SentenceParts):
    """Sentence parts of a dataset, with other parts for some domains (docs/method.md#sentences)."""

    domains: dict[str, SentenceParts] = Field(default_factory=dict)

    def of(self, domain: str | None) -> SentenceParts:
        """Return the parts of a domain, by default those for domains without their own."""
        return self.domains.get(domain or "", self)

    def ways(self) -> tuple[tuple[str, str], ...]:
        """Return every pair of prefix and suffix that a sentence may have, each once."""
        parts = (self, *self.domains.values())
        return tuple(dict.fromkeys((part.prefix, part.suffix) for part in parts))


class DatasetSpec(Section):
    """A catalog entry."""

    name: DatasetName
    title: Text
    licence: Text
    homepage: str = ""
    folder: RelativePath | None = Field(
        default=None, description="Folder in the data root; by default the dataset's name."
    )
    also: tuple[RelativePath, ...] = Field(
        default=(),
        description="Other usual names of the folder, for users who already have the data.",
    )
    task: Literal["single", "multi"] = Field(
        default="single", description="Whether an image shows one of the classes, or any number."
    )
    size_gb: float | None = Field(
        default=None,
        gt=0,
        description="Size of the download; twice that is needed while unpacking.",
    )
    sources: tuple[Source, ...] = Field(default=(), description="In order of preference.")
    gone: tuple[int, ...] = Field(
        default=(), description="Numbers of sources, from 0, that are reported permanently gone."
    )
    prepare: Literal["terra_incognita"] | None = Field(
        default=None, description="Step that converts fetched files before they are used."
    )
    layout: Layouts = Field(description="One, or several in order of preference.")
    template: Text = Field(description="Template of texts; {} stands for the class.")
    sentence: SentenceSpec
    split: SplitRule
    split_file: SplitFile | None = None
    counts: Counts = Counts()
    unverified: tuple[str, ...] = Field(
        default=(), description="Keys of facts nobody has confirmed: reported, never enforced."
    )
    notes: tuple[str, ...] = Field(
        default=(), description="Peculiarities that `datasets verify` reports."
    )
    domains: tuple[NamedEntry, ...] = ()
    capture: dict[str, Camera] = Field(
        default_factory=dict,
        description="Camera of each domain's images, used if `data.capture` is not 0.",
    )
    classes: ClassEntries = Field(description="In label order.")
    unseen: tuple[Text, ...] = Field(default=(), description="Classes no client trains on.")
    groups: dict[Text, tuple[Text, ...]] = Field(
        default_factory=dict,
        description="Superclasses and their classes, all of them (scheme `pachinko`).",
    )

    @model_validator(mode="after")
    def _consistent(self) -> DatasetSpec:
        _require_distinct("class", (c.name for c in self.classes))
        _require_distinct("class folder", (c.folder for c in self.classes))
        _require_distinct("domain", (d.name for d in self.domains))
        _require_distinct("domain folder", (d.folder for d in self.domains))
        if [self.template.count(mark) for mark in ("{", "{}", "}")] != [1, 1, 1]:
            raise ValueError("template must contain {} once, for the class")
        for layout in self.layout:
            if isinstance(layout, DomainClassFolders | SceneRecipes) != bool(self.domains):
                raise ValueError(f"domains must be listed, and only for {_WITH_DOMAINS}")
        if self.domains and self.split_file is not None:
            raise ValueError("split_file has no domains: it cannot split domain_class_folders")
        renamed = [
            name
            for layout in self.layout
            if isinstance(layout, DomainClassFolders)
            for name in layout.domain_folders
        ]
        for key in (*self.sentence.domains, *self.counts.domains, *renamed, *self.capture):
            if key not in self.domain_names:
                raise ValueError(f"{key!r} is not one of the domains")
        if stray := sorted(set(self.counts.test_positives) - set(self.class_names)):
            raise ValueError(f"counts.test_positives names {stray[0]!r}, which is not a class")
        grouped = [name for names in self.groups.values() for name in names]
        if self.groups and sorted(grouped) != sorted(self.class_names):
            raise ValueError("groups must contain every class once")
        self._check_task()
        for key in self.unverified:
            if self.fact(key) is None:
                raise ValueError(f"unverified names {key!r}, which the entry does not have")
        return self

    def _check_task(self) -> None:
        if not set(self.unseen) < set(self.class_names):
            raise ValueError("unseen must name some of the classes, not all and no others")
        if self.task == "single" and self.unseen:
            raise ValueError("unseen needs task: multi")
        if self.task == "multi" and (self.split_file or self.split.val):
            raise ValueError(
                "validation images of task: multi stay at the clients: no split file, "
                "no val in split"
            )

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names in label order."""
        return tuple(c.name for c in self.classes)

    @property
    def class_groups(self) -> tuple[str, ...]:
        """Superclass of each class, in label order; empty if the entry has no groups."""
        group_of = {name: group for group, names in self.groups.items() for name in names}
        return tuple(group_of[name] for name in self.class_names) if group_of else ()

    @property
    def domain_names(self) -> tuple[str, ...]:
        """Domain names; the default domain if the dataset declares none."""
        return tuple(d.name for d in self.domains) or (DEFAULT_DOMAIN,)

    @property
    def raw_folders(self) -> tuple[str, ...]:
        """Possible folders of the raw images in the data root; they are fetched to the first."""
        return (self.folder or self.name, *self.also)

    @property
    def can_be_fetched(self) -> bool:
        """Whether a working source can be fetched without the user's help."""
        left = (s for number, s in enumerate(self.sources) if number not in self.gone)
        return any(source.kind != "manual" for source in left)

    def fact(self, key: str) -> Any:
        """Return the value of a dotted key, e.g. ``counts.train``; None if there is none."""
        return _fact(self, key.split("."))

    def is_unverified(self, key: str) -> bool:
        """Tell whether a fact, or a section it is in, is marked as unverified."""
        return any(key == known or key.startswith(f"{known}.") for known in self.unverified)

    def sentence_parts(self, domain: str | None = None) -> SentenceParts:
        """Return prefix and suffix of attribute sentences; `domain` may have its own."""
        return self.sentence.of(domain)


def load_spec(name: str) -> DatasetSpec:
    """Read the catalog entry of a dataset.

    Raises
    ------
    ConfigError
        When no catalog has `name` (the message names the most similar one), when two have it, or
        when the entry is not valid.
    """
    path = find_yaml(name, _folders(), what="dataset", where="data catalog")
    spec = parse_section(DatasetSpec, load_yaml(path), str(path))
    if spec.name != name:
        raise ConfigError(
            "name differs from the file's name",
            where=f"{path}: name",
            value=spec.name,
            hint=f"write name: {name}",
        )
    return spec


def dataset_names() -> tuple[str, ...]:
    """Return the names of all catalog entries, sorted."""
    return yaml_names(_folders())


def _folders() -> list[Path]:
    extra = os.environ.get("FEDMVP_CATALOG")
    return [_SHIPPED, Path(extra)] if extra else [_SHIPPED]


def _require_distinct(what: str, values: Iterable[Hashable]) -> None:
    seen: set[Hashable] = set()
    for value in values:
        if value in seen:
            raise ValueError(f"{what} {value!r} is listed twice")
        seen.add(value)


def _fact(value: Any, path: list[str]) -> Any:
    """Follow a dotted key; return None if it does not exist."""
    if not path or value is None:
        return value
    first, rest = path[0], path[1:]
    if isinstance(value, tuple):
        inside = first.isdigit() and int(first) < len(value)
        return _fact(value[int(first)], rest) if inside else None
    inner = value.get(first) if isinstance(value, dict) else getattr(value, first, None)
    return _fact(inner, rest)
