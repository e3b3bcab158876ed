"""One recorded answer: its question, its key, its line in a store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedmvp.attributes.schema import check_list
from fedmvp.errors import AttributeTextError
from fedmvp.files import parse_json, sha256_json

__all__ = ["Question", "RecordedAnswer", "parse_line"]

_FIELDS = (
    "class",
    "attributes",
    "model",
    "template",
    "provider",
    "context",
    "parameters",
    "template_sha256",
    "key",
)


@dataclass(frozen=True)
class Question:
    """What was asked: the identity of an answer.

    Attributes
    ----------
    class_name : str
        As in the dataset's class list.
    model : str
        Who answers.
    template, template_sha256 : str
        Name of the template, and hash of its text; only the latter is part of the key.
    context : str
        Title of the dataset, as the question says it.
    parameters : mapping
        Count asked for and sampling; empty for texts written or imported by hand.
    """

    class_name: str
    model: str
    template: str
    template_sha256: str
    context: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Hex SHA-256 of everything that shaped the question."""
        return sha256_json(
            {
                "class": self.class_name,
                "context": self.context,
                "model": self.model,
                "parameters": dict(self.parameters),
                "template_sha256": self.template_sha256,
            }
        )


@dataclass(frozen=True)
class RecordedAnswer:
    """A validated answer and the question it belongs to.

    Attributes
    ----------
    question : Question
    attributes : tuple of str
        Normalised, distinct, at least one.
    provider : str
        Which provider brought it, for the record only.
    """

    question: Question
    attributes: tuple[str, ...]
    provider: str

    def to_line(self) -> bytes:
        """Return the answer as one line of JSON."""
        asked = self.question
        value = {
            "class": asked.class_name,
            "attributes": list(self.attributes),
            "model": asked.model,
            "template": asked.template,
            "provider": self.provider,
            "context": asked.context,
            "parameters": dict(sorted(asked.parameters.items())),
            "template_sha256": asked.template_sha256,
            "key": asked.key,
        }
        return (json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n").encode()


def parse_line(line: bytes, path: Path, number: int) -> RecordedAnswer:
    """Validate one line of a store.

    Parameters
    ----------
    line : bytes
        Without its line feed.
    path, number
        File and line, for the message.

    Raises
    ------
    AttributeTextError
        When it is not an answer, or its key is not its question's.
    """
    where = f"{path.name} line {number}"
    try:
        value = parse_json(line.decode())
    except (ValueError, RecursionError):
        raise AttributeTextError(
            "not a JSON object",
            where=where,
            value=line[:80].decode("utf-8", "replace"),
            hint="remove the line; its class is asked again",
        ) from None
    if not isinstance(value, dict) or set(value) != set(_FIELDS):
        raise AttributeTextError(
            f"not an answer with the fields {', '.join(_FIELDS)}",
            where=where,
            hint="restore the line from git, or remove it",
        )
    texts = [value[name] for name in _FIELDS if name not in ("attributes", "parameters")]
    if not all(isinstance(text, str) for text in texts) or not isinstance(
        value["parameters"], dict
    ):
        raise AttributeTextError(
            "a field has the wrong type",
            where=where,
            hint="restore the line from git, or remove it",
        )
    question = Question(
        value["class"],
        value["model"],
        value["template"],
        value["template_sha256"],
        value["context"],
        value["parameters"],
    )
    if question.key != value["key"]:
        raise AttributeTextError(
            "key does not belong to the question",
            where=where,
            value=value["key"],
            hint="restore the line from git; attributes may be edited by hand, "
            "the question may not",
        )
    # Imported lists may name their class; whoever uses an answer applies the stricter rule.
    attributes = check_list(
        value["attributes"], dataset=path.stem, class_name=value["class"], may_name_class=True
    )
    return RecordedAnswer(question, attributes, value["provider"])
