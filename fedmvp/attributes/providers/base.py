"""The interface of providers: from a class to a validated list of attributes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from fedmvp.attributes.record import Question
from fedmvp.errors import AttributeTextError

__all__ = ["Ask", "Provider", "ProviderUnusable", "Reply", "Usage"]


class ProviderUnusable(AttributeTextError):
    """No question at all can be answered: wrong key, no server, no such model."""


@dataclass(frozen=True)
class Ask:
    """One class to describe.

    Attributes
    ----------
    dataset : str
        Name in the catalog.
    question : Question
        Identity of the answer, class name included.
    prompt : str
        The rendered template.
    count : int
        Attributes wanted.
    """

    dataset: str
    question: Question
    prompt: str
    count: int

    @property
    def class_name(self) -> str:
        """The class asked about."""
        return self.question.class_name

    @property
    def place(self) -> str:
        """Where an error about this class happened."""
        return f"attributes of {self.dataset}, class {self.class_name!r}"


@dataclass(frozen=True)
class Usage:
    """What answers cost: calls and tokens, retries included."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.calls + other.calls,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
        )


@dataclass(frozen=True)
class Reply:
    """A validated answer and its cost."""

    attributes: tuple[str, ...]
    usage: Usage = Usage()


class Provider(Protocol):
    """Turns a class into attributes."""

    def reply(self, ask: Ask) -> Reply:
        """Answer for one class.

        Raises
        ------
        AttributeTextError
            When there is no valid answer; never carries a secret.
        """
        ...
