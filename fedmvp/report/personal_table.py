"""The personal evaluation on the page: never in one column with other numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fedmvp.report.estimates import Estimate
from fedmvp.report.page_tables import Cell, Line, measured_column
from fedmvp.report.personal import estimates, model_title, personal_results
from fedmvp.report.study import Study
from fedmvp.results.personal import PersonalResult

__all__ = ["PersonalTable", "personal_table"]

_TITLES = {
    "global": "Global",
    "personal": "Personal",
    "neighbour": "Neighbour",
    "personal_base": "Personal on base",
    "personal_new": "Personal on new",
    "personal_target": "Personal on targets",
    "personal_source": "Personal on its source",
    "personal/std": "Std over clients",
    "personal/worst": "Worst 10 %",
    "personal/best": "Best 10 %",
    "personal/minimum": "Minimum",
    "stability/global": "Global, last rounds",
    "stability/personal": "Personal, last rounds",
}
_LOWER_IS_BETTER = ("personal/std",)
_MODELS = {
    "untrained": "untrained",
    "aggregated": "the global one",
    "aggregated_and_own": "global and own tensors",
}


@dataclass(frozen=True)
class PersonalTable:
    """A setting's personal numbers: column titles, a line per method, and a note on the choices."""

    titles: tuple[str, ...]
    lines: tuple[Line, ...]
    note: str


def personal_table(study: Study, setting: str) -> PersonalTable | None:
    """Return the table of a setting; None if it has no personal evaluation."""
    found = {
        (method, results[0].choices["model"]): results
        for method in study.scores[setting].methods
        for results in personal_results(study, setting, method)
    }
    if not found:
        return None
    numbers = {line: estimates(results) for line, results in found.items()}
    keys = [key for key in _TITLES if any(key in own for own in numbers.values())]
    columns = [_column(key, {line: own.get(key) for line, own in numbers.items()}) for key in keys]
    lines = tuple(
        Line(
            model_title(*line),
            study.styles[line[0]],
            tuple(column[line] for column in columns),
            (_model(results[0]),),
        )
        for line, results in found.items()
    )
    return PersonalTable(
        tuple(_TITLES[key] for key in keys),
        lines,
        _note([result for own in found.values() for result in own]),
    )


def _column(
    key: str, values: dict[tuple[str, str], Estimate | None]
) -> dict[tuple[str, str], Cell]:
    cells = measured_column(values)
    if key in _LOWER_IS_BETTER:
        return {line: replace(cell, best=False) for line, cell in cells.items()}
    return cells


def _model(result: PersonalResult) -> str:
    epochs = result.choices["fine_tune_epochs"]
    return _MODELS.get(result.choices["model"], f"fine-tuned, {epochs} epochs")


def _note(results: list[PersonalResult]) -> str:
    choices = results[0].choices
    clients = results[0].clients
    stable = choices.get("stability_rounds")
    idle = max(result.clients["never_selected"] for result in results)
    among = (
        "the classes its client has images of"
        if choices["candidates"] == "own"
        else ("all classes its dataset trains on")
    )
    mean = (
        "weighted by test images" if choices["client_mean"] == "weighted" else "each counts alike"
    )
    rounds = f"; “last rounds” is the mean of the last {stable}" if stable else ""
    return (
        f"Test images of each client ({choices['images']}), classified among {among}. Mean over "
        f"clients: {mean}. After the last round{rounds}. {clients['all']} clients, "
        f"{clients['without_test_images']} without test images (left out), at most {idle} never "
        "selected (counted)."
    )
