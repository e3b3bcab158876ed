"""The personal evaluation on the page: never in one column with other numbers."""

from __future__ import annotations

from dataclasses import dataclass

from fedmvp.methods import method_title
from fedmvp.report.page_tables import Line, measured_column
from fedmvp.report.personal import estimates, personal_results
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
}
_MODELS = {
    "untrained": "untrained",
    "aggregated": "the global one",
    "aggregated_and_own": "global and own tensors",
}


@dataclass(frozen=True)
class PersonalTable:
    """A setting's personal numbers: column titles, a line per method, and what they rest on."""

    titles: tuple[str, ...]
    lines: tuple[Line, ...]
    note: str


def personal_table(study: Study, setting: str) -> PersonalTable | None:
    """Return the table of a setting; None where nothing was evaluated so."""
    found = {m: personal_results(study, setting, m) for m in study.scores[setting].methods}
    found = {method: results for method, results in found.items() if results}
    if not found:
        return None
    numbers = {method: estimates(results) for method, results in found.items()}
    keys = [key for key in _TITLES if any(key in own for own in numbers.values())]
    columns = [measured_column({m: own.get(key) for m, own in numbers.items()}) for key in keys]
    lines = tuple(
        Line(method_title(method), study.styles[method],
             tuple(column[method] for column in columns), (_model(results[0]),))
        for method, results in found.items()
    )
    return PersonalTable(tuple(_TITLES[key] for key in keys), lines,
                         _note([result for own in found.values() for result in own]))


def _model(result: PersonalResult) -> str:
    epochs = result.choices["fine_tune_epochs"]
    return _MODELS.get(result.choices["model"], f"fine-tuned, {epochs} epochs")


def _note(results: list[PersonalResult]) -> str:
    choices = results[0].choices
    clients = results[0].clients
    idle = max(result.clients["never_selected"] for result in results)
    among = "the classes its client has images of" if choices["candidates"] == "own" else (
        "all classes its dataset trains on")
    mean = "weighted by test images" if choices["client_mean"] == "weighted" else "each counts alike"
    return (
        f"Test images of each client ({choices['images']}), classified among {among}. Mean over "
        f"clients: {mean}. After the last round. {clients['all']} clients, "
        f"{clients['without_test_images']} without test images (left out), at most {idle} never "
        "selected (counted)."
    )
