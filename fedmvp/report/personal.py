"""Personal numbers over seeds, and their table: every number with the choices it depends on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fedmvp.methods import method_title
from fedmvp.report.estimates import Estimate, estimate
from fedmvp.report.format import fixed
from fedmvp.report.study import Study
from fedmvp.results.personal import FINE_TUNED, STABILITY, PersonalResult

__all__ = ["PERSONAL_COLUMNS", "estimates", "model_title", "personal_results", "personal_rows"]

PERSONAL_COLUMNS = (
    "setting",
    "method",
    "model",
    "fine_tune_epochs",
    "images",
    "candidates",
    "client_mean",
    "round",
    "number",
    "mean",
    "std",
    "seeds",
)


def personal_rows(study: Study) -> Iterator[dict[str, Any]]:
    """Yield the rows of tables/personal.csv: every number with the choices it depends on."""
    for setting, scores in study.scores.items():
        for method in scores.methods:
            for results in personal_results(study, setting, method):
                choices = results[0].choices
                known = {key: choices[key] for key in PERSONAL_COLUMNS if key in choices}
                for name, value in estimates(results).items():
                    row = {
                        "setting": setting,
                        "method": method,
                        **known,
                        "number": name,
                        "mean": fixed(value.mean),
                        "std": fixed(value.std),
                        "seeds": value.seeds,
                    }
                    if name.startswith(f"{STABILITY}/"):
                        row["round"] = f"mean of the last {choices['stability_rounds']}"
                    yield row


def personal_results(study: Study, setting: str, method: str) -> list[list[PersonalResult]]:
    """Return a method's results over seeds, for each kind of client model."""
    found: dict[str, list[PersonalResult]] = {}
    for run in study.runs_of(setting, method):
        for result in run.personal:
            found.setdefault(result.choices["model"], []).append(result)
    return list(found.values())


def model_title(method: str, model: str) -> str:
    """Return the title of a method's client models, e.g. ``PromptFL, fine-tuned``."""
    title = method_title(method)
    return f"{title}, fine-tuned" if model == FINE_TUNED else title


def estimates(results: list[PersonalResult]) -> dict[str, Estimate]:
    """Return each number's mean over seeds."""
    shared = [key for key in results[0].numbers if all(key in r.numbers for r in results)]
    return {key: estimate([result.numbers[key] for result in results]) for key in shared}
