"""Questions put to a language model: versioned text files with ``{{class}}``-style variables.

A template's text never changes once answers to it are recorded; another wording is another
version. Answers are keyed by the text itself, so an edited file cannot pass off old answers as its
own. The double braces are those of MLflow's prompt registry.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from fedmvp.attributes.schema import spoken_name
from fedmvp.errors import AttributeTextError
from fedmvp.files import read_text, sha256_bytes

__all__ = ["TEMPLATES", "Template", "load_template", "template_names"]

TEMPLATES = Path(__file__).parent / "templates"
VARIABLES = frozenset({"class", "context", "count"})
_VARIABLE = re.compile(r"\{\{(\w+)\}\}")


@dataclass(frozen=True)
class Template:
    """A question with the variables ``class``, ``context`` and ``count``.

    Attributes
    ----------
    name : str
        File name without suffix, e.g. ``"visual-v1"``.
    text : str
        The file's text, stripped.
    """

    name: str
    text: str

    @cached_property
    def sha256(self) -> str:
        """Hex SHA-256 of the text: what answers are keyed by."""
        return sha256_bytes(self.text.encode())

    def render(self, class_name: str, *, context: str, count: int) -> str:
        """Return the question about one class.

        All variables are filled in a single pass, so a class called ``{{count}}`` stays one.

        Parameters
        ----------
        class_name : str
            Name from the class list; spoken form and one line in the question.
        context : str
            Title of the dataset.
        count : int
            Attributes asked for.
        """
        values = {
            # A quote inside a name would end the quoted name early.
            "class": spoken_name(class_name).replace('"', "'"),
            "context": spoken_name(context).replace('"', "'"),
            "count": str(count),
        }
        return _VARIABLE.sub(lambda match: values[match[1]], self.text)


def template_names(folder: Path = TEMPLATES) -> tuple[str, ...]:
    """Return the names of all templates, sorted."""
    return tuple(sorted(path.stem for path in folder.glob("*.txt")))


def load_template(name: str, folder: Path = TEMPLATES) -> Template:
    """Read a template by name.

    Raises
    ------
    AttributeTextError
        When there is no such file, or a variable is missing or unknown.
    """
    if name not in template_names(folder):
        raise AttributeTextError(
            "no such template",
            where="attributes.template",
            value=name,
            hint=f"use one of {', '.join(template_names(folder))}, or add "
            f"fedmvp/attributes/templates/{name}.txt",
        )
    path = folder / f"{name}.txt"
    text = read_text(path).strip()
    found = set(_VARIABLE.findall(text))
    if found != VARIABLES:
        wrong = sorted(found ^ VARIABLES)
        raise AttributeTextError(
            "variables are not exactly {{class}}, {{context}}, {{count}}",
            where=path.name,
            value=wrong,
            hint="name each of them, and no other",
        )
    return Template(name, text)
