"""Committed answers, which need no call, and the store in front of every live provider."""

from __future__ import annotations

import threading
from collections.abc import Callable

from fedmvp.attributes.providers.base import Ask, Provider, ProviderUnusable, Reply
from fedmvp.attributes.record import Question, RecordedAnswer
from fedmvp.attributes.schema import spoken_name
from fedmvp.attributes.store import AnswerStore
from fedmvp.errors import AttributeTextError

__all__ = ["RecordedProvider", "RememberingProvider"]


class RecordedProvider:
    """Answers from a store: same class, model and template text.

    Underscores and spaces in class names are the same.

    Sampling parameters and dataset title decide only between several recorded answers, so texts
    written by hand serve any of them.

    Parameters
    ----------
    store : AnswerStore
    """

    def __init__(self, store: AnswerStore) -> None:
        self._store = store
        self._by_source: dict[tuple[str, str, str], list[RecordedAnswer]] = {}
        for answer in store:
            self._by_source.setdefault(_source(answer.question), []).append(answer)

    def reply(self, ask: Ask) -> Reply:
        """Look the class up."""
        if exact := self._store.get(ask.question.key):
            return Reply(exact.attributes)
        found = self._by_source.get(_source(ask.question), [])
        if not found:
            raise AttributeTextError(
                "no recorded answer",
                where=ask.place,
                value=f"model {ask.question.model}, template {ask.question.template}",
                hint=f"ask a model once: `fedmvp attributes generate {ask.dataset} --provider "
                "openai --model NAME`, or import a list: "
                f"`fedmvp attributes import {ask.dataset} FILE --model {ask.question.model}`",
            )
        if len({answer.attributes for answer in found}) > 1:
            raise AttributeTextError(
                f"{len(found)} different recorded answers",
                where=ask.place,
                value=[dict(answer.question.parameters) for answer in found],
                hint="set attributes.per_class, temperature and max_tokens to those of one of them",
            )
        return Reply(found[0].attributes)


class RememberingProvider:
    """Records every answer of another provider and never asks it twice.

    Parameters
    ----------
    open_inner : callable
        Opens the provider; called at the first question the store cannot answer, so that
        recorded answers need no key, server or model.
    store : AnswerStore
    name : str
        Provider name written beside the answers.
    """

    def __init__(self, open_inner: Callable[[], Provider], store: AnswerStore, name: str) -> None:
        self._open = open_inner
        self._opening = threading.Lock()
        self._inner: Provider | None = None
        self._store = store
        self._name = name

    def reply(self, ask: Ask) -> Reply:
        """Return the recorded answer, or ask and record."""
        if hit := self._store.get(ask.question.key):
            return Reply(hit.attributes)
        fresh = self._provider().reply(ask)
        answer = RecordedAnswer(ask.question, fresh.attributes, self._name)
        try:
            return Reply(self._store.add(answer).attributes, fresh.usage)
        except OSError as error:
            raise self._unwritable(error) from None

    def _provider(self) -> Provider:
        with self._opening:
            if self._inner is None:
                try:
                    self._store.prepare()
                except OSError as error:
                    raise self._unwritable(error) from None
                self._inner = self._open()
            return self._inner

    def _unwritable(self, error: OSError) -> ProviderUnusable:
        return ProviderUnusable(
            f"answers cannot be recorded ({error.strerror})",
            where=self._store.path,
            hint="make the file writable, or free disk space",
        )


def _source(question: Question) -> tuple[str, str, str]:
    return spoken_name(question.class_name), question.model, question.template_sha256
