"""What images are classified among: class names, and the texts that stand for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from fedmvp.attributes.class_attributes import load_attributes
from fedmvp.attributes.generate import DatasetClasses, collect_attributes
from fedmvp.attributes.schema import spoken_name
from fedmvp.catalog.spec import DatasetSpec, load_spec
from fedmvp.config import Section, load_params
from fedmvp.errors import AttributeTextError, ConfigError, DataError, FedMVPError
from fedmvp.files import read_json, read_text
from fedmvp.paths import attributes_path

__all__ = ["Candidates", "choose_candidates", "read_attribute_lists", "read_class_names"]

_MAX_NAME = 1000
_TEMPLATE, _PREFIX = "a photo of a {}.", "a photo of a"


class Candidates(Section):
    """Classes and their texts; all a predictor needs to know of a dataset.

    Attributes may be missing for some or all classes: methods that read none do without, the
    others name the first class that has none.
    """

    dataset: str = Field(description="Catalog name; `custom` for a list of one's own.")
    classes: tuple[str, ...] = Field(min_length=1, description="In label order.")
    template: str = Field(description="Hand template with one {}.")
    prefix: str = Field(description="Start of attribute sentences (docs/method.md#sentences).")
    suffix: str = ""
    attributes: dict[str, tuple[str, ...]] = Field(description="By class name; may be empty.")


def choose_candidates(
    *,
    dataset: str | None = None,
    domain: str | None = None,
    classes: Path | None = None,
    attributes: Path | None = None,
) -> Candidates:
    """Return the candidates that a dataset, a class list and attribute lists define.

    Parameters
    ----------
    dataset : str, optional
        Catalog name: gives classes, template, sentence style and attributes.
    domain : str, optional
        Chooses sentence parts where the dataset has some per domain.
    classes : Path, optional
        Text file with one name a line; its names take the place of the dataset's.
    attributes : Path, optional
        JSON of class name to list of texts, taken word for word; in place of the dataset's. Without
        `dataset` and `classes` its keys are the classes.

    Raises
    ------
    ConfigError
        When nothing names classes, or the dataset or domain is unknown.
    DataError
        When a file is missing or not as declared.
    """
    spec = None if dataset is None else load_spec(dataset)
    _check_domain(spec, domain)
    lists = None if attributes is None else read_attribute_lists(attributes)
    if classes is not None:
        names = read_class_names(classes)
    elif spec is not None:
        names = spec.class_names
    elif lists is not None:
        names = tuple(lists)
    else:
        raise ConfigError(
            "no classes to choose among",
            where="candidate classes",
            hint="give --dataset NAME or --classes FILE",
        )
    if lists is None:
        lists = {} if spec is None else _dataset_attributes(spec)
    parts = None if spec is None else spec.sentence_parts(domain)
    return Candidates(
        dataset="custom" if spec is None else spec.name,
        classes=names,
        template=_TEMPLATE if spec is None else spec.template,
        prefix=_PREFIX if parts is None else parts.prefix,
        suffix="" if parts is None else parts.suffix,
        attributes=_select(names, lists),
    )


def _check_domain(spec: DatasetSpec | None, domain: str | None) -> None:
    if domain is None:
        return
    known = () if spec is None else spec.domain_names
    if domain not in known:
        raise ConfigError(
            "no such domain",
            where="--domain",
            value=domain,
            hint=f"use one of: {', '.join(known)}" if known else "give --dataset NAME, too",
        )


def read_class_names(path: Path) -> tuple[str, ...]:
    """Read a text file with one class name a line; empty lines are skipped.

    Raises
    ------
    DataError
        When the file is missing, empty, not UTF-8 or names a class twice.
    """
    try:
        lines = read_text(path, encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"class list cannot be read ({type(error).__name__})",
            where=path,
            hint="give a UTF-8 text file with one class name a line",
        ) from None
    names = tuple(line.strip() for line in lines if line.strip())
    if not names:
        raise DataError("no class in the list", where=path, hint="write one class name a line")
    for name, count in Counter(names).items():
        if count > 1:
            raise DataError("class is listed twice", where=path, value=name, hint="remove one")
        if len(name) > _MAX_NAME or not name.isprintable():
            raise DataError(
                "class name is not a short printable text",
                where=path,
                value=name,
                hint=f"write at most {_MAX_NAME} characters",
            )
    return names


def read_attribute_lists(path: Path) -> dict[str, tuple[str, ...]]:
    """Read attribute lists word for word: the official JSON, or the attributes stage's file.

    The texts are not normalised, for the official code encodes them as they are.

    Raises
    ------
    DataError
        When the file is missing or no JSON.
    AttributeTextError
        Naming the class whose list is not one of texts.
    """
    hint = 'give JSON of the form {"class name": ["attribute", ...], ...}'
    value: Any = read_json(path, hint)
    if isinstance(value, dict) and isinstance(value.get("classes"), dict):
        value = value["classes"]
    if not isinstance(value, dict) or not value:
        raise AttributeTextError("no attribute lists", where=path, hint=hint)
    for name, texts in value.items():
        if not isinstance(texts, list) or not all(isinstance(t, str) and t.strip() for t in texts):
            raise AttributeTextError(
                f"class {name!r} has no list of texts", where=path, value=texts, hint=hint
            )
    return {name: tuple(texts) for name, texts in value.items()}


def _select(
    names: Sequence[str], lists: Mapping[str, tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    """Return the lists of some classes; underscores and spaces in names are the same."""
    spoken = {spoken_name(name): texts for name, texts in lists.items()}
    found = {name: lists.get(name) or spoken.get(spoken_name(name)) for name in names}
    return {name: texts for name, texts in found.items() if texts}


def _dataset_attributes(spec: DatasetSpec) -> dict[str, tuple[str, ...]]:
    """Return what the attributes stage wrote, else recorded answers, else nothing."""
    path = attributes_path(spec.name)
    if path.is_file():
        return dict(load_attributes(path).classes)
    try:
        params = load_params().attributes
        if params.provider != "recorded":  # never call a model unasked
            return {}
        asked = DatasetClasses(spec.name, spec.title, spec.class_names)
        return dict(collect_attributes(asked, params).classes)
    except FedMVPError:
        return {}
