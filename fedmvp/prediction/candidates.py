"""The classes that images are classified among: their names and texts."""

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

__all__ = [
    "Candidates",
    "check_class_names",
    "choose_candidates",
    "read_attribute_lists",
    "read_class_names",
]

_MAX_NAME = 1000


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


_PLAIN = Candidates(
    dataset="custom",
    classes=("anything",),
    template="a photo of a {}.",
    prefix="a photo of a",
    attributes={},
)
"""Template and sentence style without a dataset; its classes are always replaced."""


def choose_candidates(
    *,
    dataset: str | None = None,
    domain: str | None = None,
    classes: Path | Sequence[str] | None = None,
    attributes: Path | Mapping[str, Sequence[str]] | None = None,
    like: Candidates | None = None,
) -> Candidates:
    """Return the candidates that a dataset, a class list and attribute lists define.

    Parameters
    ----------
    dataset : str, optional
        Catalog name: gives classes, template, sentence style and attributes.
    domain : str, optional
        Chooses sentence parts where the dataset has some per domain.
    classes : Path or sequence of str, optional
        Names, or a text file with one a line; they take the place of the dataset's.
    attributes : Path or mapping of str to sequence of str, optional
        Class name to texts, or JSON of that, taken word for word; in place of the dataset's.
        Without `dataset` and `classes` its keys are the classes.
    like : Candidates, optional
        Whose template, sentence style and attributes count where no dataset is named.

    Raises
    ------
    ConfigError
        When nothing names classes, or the dataset or domain is unknown.
    DataError
        When a file is missing or not as declared.
    """
    spec = None if dataset is None else load_spec(dataset)
    _check_domain(spec, domain)
    lists = None if attributes is None else _attribute_lists(attributes)
    if classes is not None:
        names = _class_names(classes)
    elif spec is not None:
        names = spec.class_names
    elif lists is not None:
        names = check_class_names(list(lists), "attributes")
    else:
        raise ConfigError(
            "no classes to choose among",
            where="candidate classes",
            hint="give --dataset NAME or --classes FILE",
        )
    home = _style(spec, domain) if spec is not None else like or _PLAIN
    if lists is None:
        lists = dict(home.attributes) if spec is None else _dataset_attributes(spec)
    return home.model_copy(update={"classes": names, "attributes": _select(names, lists)})


def _style(spec: DatasetSpec, domain: str | None) -> Candidates:
    """Return a dataset's candidates, without attributes."""
    parts = spec.sentence_parts(domain)
    return Candidates(
        dataset=spec.name,
        classes=spec.class_names,
        template=spec.template,
        prefix=parts.prefix,
        suffix=parts.suffix,
        attributes={},
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
    return check_class_names([line.strip() for line in lines if line.strip()], path)


def _class_names(classes: Path | Sequence[str]) -> tuple[str, ...]:
    if isinstance(classes, Path):
        return read_class_names(classes)
    return check_class_names(classes, "classes")


def check_class_names(names: Sequence[str], where: Path | str) -> tuple[str, ...]:
    """Return class names as they are, in order.

    Raises
    ------
    DataError
        When there is none, one is no short printable text, or one is there twice.
    """
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise DataError("not a list of class names", where=where, value=names, hint='give ["cat"]')
    if not names:
        raise DataError("no class in the list", where=where, hint="write one class name a line")
    for name, count in Counter(names).items():
        if count > 1:
            raise DataError("class is listed twice", where=where, value=name, hint="remove one")
        if not name.strip() or len(name) > _MAX_NAME or not name.isprintable():
            raise DataError(
                "class name is not a short printable text",
                where=where,
                value=name,
                hint=f"write at most {_MAX_NAME} characters",
            )
    return tuple(names)


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
    return _checked_lists(value, path, hint)


def _attribute_lists(
    attributes: Path | Mapping[str, Sequence[str]],
) -> dict[str, tuple[str, ...]]:
    if isinstance(attributes, Path):
        return read_attribute_lists(attributes)
    return _checked_lists(attributes, "attributes", 'give {"class name": ["attribute", ...], ...}')


def _checked_lists(value: Any, where: Path | str, hint: str) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, Mapping) or not value:
        raise AttributeTextError("no attribute lists", where=where, hint=hint)
    for name, texts in value.items():
        if not isinstance(texts, list | tuple) or not all(
            isinstance(text, str) and text.strip() for text in texts
        ):
            raise AttributeTextError(
                f"class {name!r} has no list of texts", where=where, value=texts, hint=hint
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
