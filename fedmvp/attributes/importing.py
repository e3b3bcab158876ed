"""Recording lists that were not asked for here: published files, or texts written by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from fedmvp.attributes.config import AttributeParams
from fedmvp.attributes.generate import DatasetClasses, asks_of, collect_attributes
from fedmvp.attributes.record import RecordedAnswer
from fedmvp.attributes.store import AnswerStore

__all__ = ["import_answers"]


def import_answers(
    dataset: DatasetClasses, params: AttributeParams, *, folder: Path | None = None
) -> tuple[int, int]:
    """Record the lists of a JSON file under ``params.model`` and ``params.template``.

    All lists are read and validated before the first is recorded. They carry no sampling
    parameters, so provider `recorded` uses them whatever the params say.

    Parameters
    ----------
    params : AttributeParams
        With provider `file`.

    Returns
    -------
    tuple of int
        Classes recorded now, and classes that had a recorded answer, which stands.

    Raises
    ------
    AttributeTextError
        When a class is missing from the file or its list is not valid.
    """
    attributes = collect_attributes(dataset, params, folder=folder)
    store = AnswerStore.of(dataset.name, folder)
    added = 0
    for ask in asks_of(dataset, params):
        question = replace(ask.question, parameters={})
        if store.get(question.key) is None:
            store.add(RecordedAnswer(question, attributes.classes[ask.class_name], "file"))
            added += 1
    store.sort()
    return added, len(dataset.classes) - added
