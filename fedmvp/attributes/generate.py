"""From class names to attributes: ask the configured provider, record, validate, put in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fedmvp.attributes.asking import Observer, ask_all
from fedmvp.attributes.class_attributes import ClassAttributes
from fedmvp.attributes.config import AttributeParams
from fedmvp.attributes.providers.base import Ask, Provider, Usage
from fedmvp.attributes.providers.file import FileProvider
from fedmvp.attributes.providers.recorded import RecordedProvider, RememberingProvider
from fedmvp.attributes.record import Question
from fedmvp.attributes.schema import check_list, names_class
from fedmvp.attributes.store import AnswerStore
from fedmvp.attributes.templating import load_template
from fedmvp.errors import AttributeTextError

__all__ = [
    "DatasetClasses",
    "asks_of",
    "collect_attributes",
    "estimated_usage",
    "open_provider",
    "unanswered",
]


@dataclass(frozen=True)
class DatasetClasses:
    """What this package needs to know about a dataset.

    Attributes
    ----------
    name, title : str
        Catalog name, and the title put into questions.
    classes : tuple of str
        Names in label order.
    """

    name: str
    title: str
    classes: tuple[str, ...]


def asks_of(dataset: DatasetClasses, params: AttributeParams) -> tuple[Ask, ...]:
    """Return what would be asked for each class, in label order.

    Raises
    ------
    AttributeTextError
        When the template is unknown or faulty, or a class is listed twice.
    """
    template = load_template(params.template)
    parameters = {
        "max_tokens": params.max_tokens,
        "per_class": params.per_class,
        "temperature": params.temperature,
    }
    if len(set(dataset.classes)) != len(dataset.classes):
        twice = next(name for name in dataset.classes if dataset.classes.count(name) > 1)
        raise AttributeTextError(
            "class is listed twice",
            where=f"classes of {dataset.name}",
            value=twice,
            hint="give every class its own name",
        )
    return tuple(
        Ask(
            dataset=dataset.name,
            question=Question(
                class_name=name,
                model=params.model,
                template=template.name,
                template_sha256=template.sha256,
                context=dataset.title,
                parameters=parameters,
            ),
            prompt=template.render(name, context=dataset.title, count=params.per_class),
            count=params.per_class,
        )
        for name in dataset.classes
    )


def _openai(params: AttributeParams) -> Provider:
    from fedmvp.attributes.providers.openai_server import openai_provider

    return openai_provider(params)


def _transformers(params: AttributeParams) -> Provider:
    from fedmvp.attributes.providers.local_model import local_provider

    return local_provider(params)


@dataclass(frozen=True)
class _Live:
    """A provider that computes answers: opened at the first question; answers are recorded."""

    open: Callable[[AttributeParams], Provider]
    concurrent: bool


_LIVE = {"openai": _Live(_openai, True), "transformers": _Live(_transformers, False)}


def open_provider(params: AttributeParams, store: AnswerStore) -> Provider:
    """Return the configured provider; a live one behind the store of its answers."""
    if live := _LIVE.get(params.provider):
        return RememberingProvider(lambda: live.open(params), store, params.provider)
    if params.path is not None and params.provider == "file":
        return FileProvider(Path(params.path.replace("{dataset}", store.dataset)))
    return RecordedProvider(store)


def unanswered(asks: Sequence[Ask], store: AnswerStore, params: AttributeParams) -> tuple[Ask, ...]:
    """Return the questions that would be put to a live model; none for other providers."""
    if params.provider not in _LIVE:
        return ()
    return tuple(ask for ask in asks if store.get(ask.question.key) is None)


def estimated_usage(asks: Sequence[Ask]) -> Usage:
    """Estimate what asking costs: ten tokens an attribute, and `_about_tokens` of the question."""
    return Usage(
        calls=len(asks),
        prompt_tokens=sum(_about_tokens(ask.prompt) + 8 for ask in asks),
        completion_tokens=sum(10 * ask.count + 10 for ask in asks),
    )


def _about_tokens(text: str) -> int:
    """Estimate a language model's tokens: four ASCII characters each, or one that is not."""
    ascii_characters = sum(map(str.isascii, text))
    return ascii_characters // 4 + len(text) - ascii_characters


def collect_attributes(
    dataset: DatasetClasses,
    params: AttributeParams,
    *,
    folder: Path | None = None,
    workers: int = 4,
    observer: Observer | None = None,
) -> ClassAttributes:
    """Return validated attributes of every class, in label order.

    Answers of a live provider are recorded one by one: when the call fails or is interrupted, only
    answers that have not arrived are lost.

    Parameters
    ----------
    folder : Path, optional
        Folder of answer stores; by default the committed one.
    workers : int
        Questions put to a server at once; local models are asked one by one.
    observer : callable, optional
        Called after every class.

    Raises
    ------
    AttributeTextError
        For the first class without a valid answer, once all others are answered; at once when
        the provider cannot be used at all.
    """
    asks = asks_of(dataset, params)
    provider = open_provider(params, AnswerStore.of(dataset.name, folder))
    live = _LIVE.get(params.provider)
    at_once = workers if live is not None and live.concurrent else 0
    classes: dict[str, tuple[str, ...]] = {}
    failures: list[AttributeTextError] = []
    outcomes = ask_all(asks, provider, at_once=at_once, observer=observer)
    for ask, outcome in zip(asks, outcomes, strict=True):
        try:
            if isinstance(outcome, AttributeTextError):
                raise outcome
            classes[ask.class_name] = _accept(ask, outcome.attributes, params)
        except AttributeTextError as error:
            failures.append(error)
    if failures:
        raise _summary(failures, len(asks))
    return ClassAttributes(dataset.name, params.provider, params.model, params.template, classes)


def _accept(ask: Ask, attributes: tuple[str, ...], params: AttributeParams) -> tuple[str, ...]:
    """Apply the rule on attributes that name their class, and cut the list to its maximum."""
    if params.naming == "drop":
        attributes = tuple(text for text in attributes if not names_class(text, ask.class_name))
    checked = check_list(
        attributes,
        dataset=ask.dataset,
        class_name=ask.class_name,
        may_name_class=params.naming == "keep",
    )
    return checked[: params.per_class]


def _summary(failures: list[AttributeTextError], classes: int) -> AttributeTextError:
    first = failures[0]
    if len(failures) == 1:
        return first
    what = f"{first.what} ({len(failures)} of {classes} classes fail; this is the first)"
    return AttributeTextError(what, where=first.where, value=first.value, hint=first.hint)
