"""Recording lists that were not asked for here: published files, or texts written by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fedmvp.attributes.config import AttributeParams
from fedmvp.attributes.generate import DatasetClasses, asks_of
from fedmvp.attributes.providers.file import FileProvider
from fedmvp.attributes.record import RecordedAnswer
from fedmvp.attributes.schema import check_list, names_class
from fedmvp.attributes.store import AnswerStore
from fedmvp.errors import AttributeTextError

__all__ = ["Imported", "import_answers", "read_answers"]

_NAMED = 8


@dataclass(frozen=True)
class Imported:
    """How many classes were recorded now, had an answer before, and had one unlike the file's."""

    added: int
    standing: int
    differing: int


def read_answers(dataset: DatasetClasses, params: AttributeParams) -> list[RecordedAnswer]:
    """Read the lists of a JSON file and validate all of them; nothing is recorded.

    They carry no sampling parameters, so provider `recorded` uses them whatever the params say.

    Parameters
    ----------
    params : AttributeParams
        With provider `file`: its `path` and `naming` count, and `model` and `template` are what
        the lists are recorded under.

    Raises
    ------
    DataError
        When the file is not JSON.
    AttributeTextError
        Naming every class, up to a number, that is missing, has no valid list, or is named by its
        own attributes where `naming` is `reject`.
    """
    path = Path(params.path or "").expanduser()
    provider = FileProvider(path)
    answers: list[RecordedAnswer] = []
    faults: dict[str, AttributeTextError] = {}
    naming: dict[str, list[str]] = {}
    for ask in asks_of(dataset, params):
        name = ask.class_name
        try:
            texts = provider.reply(ask).attributes
            own = [text for text in texts if names_class(text, name)]
            if own and params.naming == "reject":
                naming[name] = own
            if own and params.naming == "drop":
                left = [text for text in texts if text not in own]
                texts = check_list(left, dataset=dataset.name, class_name=name)
        except AttributeTextError as error:
            faults[name] = error
            continue
        answers.append(RecordedAnswer(replace(ask.question, parameters={}), texts, "file"))
    if faults:
        raise _all_faults(faults, path, len(dataset.classes))
    if naming:
        raise AttributeTextError(
            f"{sum(map(len, naming.values()))} attributes of {len(naming)} of "
            f"{len(dataset.classes)} classes name their own class: {_names(list(naming))}",
            where=path,
            value=next(iter(naming.values()))[0],
            hint="reword them, leave them out with `--naming drop`, or keep them word for word "
            "with `--naming keep`",
        )
    return answers


def import_answers(
    dataset: DatasetClasses, params: AttributeParams, *, folder: Path | None = None
) -> Imported:
    """Record the lists of a JSON file under ``params.model`` and ``params.template``.

    All lists are read and validated before the first is recorded (`read_answers`). A class that
    has a recorded answer keeps it.
    """
    answers = read_answers(dataset, params)
    store = AnswerStore.of(dataset.name, folder)
    added = differing = 0
    for answer in answers:
        before = store.get(answer.question.key)
        if before is None:
            store.add(answer)
            added += 1
        elif before.attributes != answer.attributes:
            differing += 1
    store.sort()
    return Imported(added, len(answers) - added, differing)


def _all_faults(
    faults: Mapping[str, AttributeTextError], path: Path, classes: int
) -> AttributeTextError:
    """Return one error for all classes that fail, grouped by what is wrong."""
    first = next(iter(faults.values()))
    if len(faults) == 1:
        return first
    groups: dict[str, list[str]] = {}
    for name, error in faults.items():
        groups.setdefault(error.what, []).append(name)
    what = "; ".join(f"{reason}: {_names(names)}" for reason, names in groups.items())
    return AttributeTextError(
        f"{len(faults)} of {classes} classes fail: {what}", where=path, hint=first.hint
    )


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(map(repr, names[:_NAMED])) + more
