"""Asking a language model until its answer is valid, showing it what was wrong before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fedmvp.attributes.parsing import AnswerError, parse_answer
from fedmvp.attributes.providers.base import Ask, Reply, Usage
from fedmvp.errors import AttributeTextError
from fedmvp.files import write_text

__all__ = ["REJECTED", "Chat", "Completion", "DialogueProvider", "Message"]

# Where answers that could not be used are kept for the user to look at; ignored by git.
REJECTED = Path(".fedmvp/attributes/rejected")
_KEPT_CHARACTERS = 20_000
_SHOWN_CHARACTERS = 2_000


@dataclass(frozen=True)
class Message:
    """One turn of a dialogue; role is ``user`` or ``assistant``."""

    role: str
    content: str


@dataclass(frozen=True)
class Completion:
    """A model's answer.

    Attributes
    ----------
    text : str
        As the model wrote it: it may hold a secret that the server echoes.
    usage : Usage
    fault : str, optional
        Why the text is not an answer, whatever it holds: cut off, refused, no text.
    """

    text: str
    usage: Usage
    fault: str | None = None


class Chat(Protocol):
    """A language model that continues a dialogue."""

    def complete(self, messages: Sequence[Message], ask: Ask) -> Completion:
        """Return the model's next turn.

        Raises
        ------
        AttributeTextError
            When the model cannot be reached; never carries a secret.
        """
        ...

    def cleaned(self, text: str) -> str:
        """Return a text for people without any secret."""
        ...


class DialogueProvider:
    """A provider that asks a chat model, and asks again when the answer is bad.

    Parameters
    ----------
    chat : Chat
    attempts : int
        Times a class is asked for.
    rejected : Path
        Folder for the dialogues of classes that failed.
    """

    def __init__(self, chat: Chat, *, attempts: int, rejected: Path = REJECTED) -> None:
        self._chat = chat
        self._attempts = attempts
        self._rejected = rejected

    def reply(self, ask: Ask) -> Reply:
        """Ask until the answer is valid."""
        messages = [Message("user", ask.prompt)]
        usage = Usage()
        wrong = ""
        for _ in range(self._attempts):
            completion = self._chat.complete(_shortened(messages), ask)
            usage += completion.usage
            try:
                if completion.fault is not None:
                    raise AnswerError(completion.fault)
                attributes = parse_answer(
                    completion.text, class_name=ask.class_name, count=ask.count
                )
                return Reply(attributes, usage)
            except AnswerError as error:
                wrong = str(error)
            messages.append(Message("assistant", completion.text or "(no answer)"))
            messages.append(Message("user", _again(wrong, ask)))
        raise AttributeTextError(
            f"no valid answer after {self._attempts} attempts; the last: "
            f"{self._chat.cleaned(wrong)}",
            where=ask.place,
            hint=f"read {self._keep(ask, messages)}, then try another model or template, or raise "
            "attributes.max_tokens or attempts",
        )

    def _keep(self, ask: Ask, messages: Sequence[Message]) -> Path:
        path = self._rejected / f"{ask.dataset}-{ask.question.key[:12]}.txt"
        parts = [f"[{turn.role}]\n{turn.content[:_KEPT_CHARACTERS]}\n" for turn in messages]
        text = self._chat.cleaned("\n".join(parts))
        write_text(path, text.encode("utf-8", "backslashreplace").decode())
        return path


def _shortened(messages: Sequence[Message]) -> list[Message]:
    """Cut the model's own long answers: their beginning shows what was wrong."""
    return [
        Message(turn.role, turn.content[:_SHOWN_CHARACTERS]) if turn.role == "assistant" else turn
        for turn in messages
    ]


def _again(wrong: str, ask: Ask) -> str:
    return (
        f"This answer cannot be used: {wrong}. Answer the question again with exactly {ask.count} "
        "distinct attributes of two to six words, each something that can be seen, none naming "
        'the class, as a JSON object {"attributes": [...]} or as lines that start with "- ".'
    )
