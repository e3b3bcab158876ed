"""The attributes of a dataset as every later stage reads them: data/attributes/<dataset>.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fedmvp.attributes.schema import check_list
from fedmvp.errors import AttributeTextError, DataError
from fedmvp.files import read_json, write_json

__all__ = ["ClassAttributes", "load_attributes", "save_attributes"]


@dataclass(frozen=True)
class ClassAttributes:
    """Attributes of all classes of a dataset, in label order.

    Attributes
    ----------
    dataset, provider, model, template : str
        What they describe and where they come from.
    classes : mapping of str to tuple of str
        Class name (as in the manifest) to its attributes; at least one each, any number.
    """

    dataset: str
    provider: str
    model: str
    template: str
    classes: Mapping[str, tuple[str, ...]]

    def select(self, class_names: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Return the attributes of some classes, in the order asked for.

        Raises
        ------
        AttributeTextError
            When a class has none.
        """
        for name in class_names:
            if name not in self.classes:
                raise AttributeTextError(
                    "class has no attributes",
                    where=f"attributes of {self.dataset}",
                    value=name,
                    hint="run the attributes stage again: `dvc repro attributes`",
                )
        return {name: self.classes[name] for name in class_names}


def save_attributes(path: Path, attributes: ClassAttributes) -> None:
    """Write the file later stages read; class order is label order."""
    value = {
        "dataset": attributes.dataset,
        "provider": attributes.provider,
        "model": attributes.model,
        "template": attributes.template,
        "classes": {name: list(texts) for name, texts in attributes.classes.items()},
    }
    write_json(path, value, sort_keys=False)


def load_attributes(path: Path) -> ClassAttributes:
    """Read and validate what `save_attributes` wrote.

    Raises
    ------
    DataError
        When the file is missing or not JSON.
    AttributeTextError
        When it does not hold attributes of classes.
    """
    value = read_json(path)
    keys = ("dataset", "provider", "model", "template", "classes")
    if not isinstance(value, dict) or set(value) != set(keys):
        raise DataError(
            "not an attributes file", where=path, hint="delete it and run `dvc repro attributes`"
        )
    dataset, provider, model, template = (value[key] for key in keys[:4])
    head = (dataset, provider, model, template)
    if not all(isinstance(text, str) for text in head) or not isinstance(value["classes"], dict):
        raise DataError(
            "not an attributes file", where=path, hint="delete it and run `dvc repro attributes`"
        )
    # Published lists may name their class when the user chose so; the stage has decided already.
    classes = {
        name: check_list(texts, dataset=dataset, class_name=name, may_name_class=True)
        for name, texts in value["classes"].items()
    }
    return ClassAttributes(dataset, provider, model, template, classes)
