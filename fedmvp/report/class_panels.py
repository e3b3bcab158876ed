"""Charts of precision against recall for single classes: method in focus and its reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from fedmvp.methods import method_title
from fedmvp.report.class_scores import ClassScore
from fedmvp.report.estimates import verdict
from fedmvp.report.figures import Figure, percent_tick
from fedmvp.report.format import percent
from fedmvp.report.study import Study
from fedmvp.report.svg import Line, line_chart

__all__ = ["ClassPanels", "class_panels"]

# Number of the best and of the worst classes that are shown without unfolding the others.
_ENDS = 4


@dataclass(frozen=True)
class ClassPanels:
    """A dataset's panels, in descending order of the average precision of the method in focus.

    Attributes
    ----------
    first : list of Figure
        Charts of the best and the worst classes, or of all if they are few.
    others : list of Figure
        Charts of the classes in between.
    legend : list of (str, str)
        Style and title of the methods drawn.
    seed : int
        The seed whose curves are drawn; average precisions are means over all seeds.
    """

    dataset: str
    first: list[Figure]
    others: list[Figure]
    legend: list[tuple[str, str]]
    seed: int


def class_panels(study: Study, setting: str, rows: Sequence[ClassScore]) -> list[ClassPanels]:
    """Return the panels of each dataset of a setting; none without scores."""
    result = verdict(study.scores[setting])
    asked = [name for name in (result.reference, result.focus) if name is not None]
    panels = []
    for dataset in dict.fromkeys(row.dataset for row in rows):
        own = [row for row in rows if row.dataset == dataset]
        drawn = [m for m in asked if all(m in row.curves for row in own)]
        if not drawn:
            continue
        own.sort(key=lambda row: -row.precisions[drawn[-1]].mean)
        figures = [_panel(study, row, drawn) for row in own]
        few = len(own) <= 3 * _ENDS
        between = slice(_ENDS, _ENDS) if few else slice(_ENDS, len(own) - _ENDS)
        panels.append(
            ClassPanels(
                dataset,
                figures[: between.start] + figures[between.stop :],
                figures[between],
                [(study.styles[method], method_title(method)) for method in drawn],
                study.runs_of(setting, drawn[-1])[0].seed,
            )
        )
    return panels


def _panel(study: Study, row: ClassScore, methods: Sequence[str]) -> Figure:
    numbers = ", ".join(
        f"{method_title(m)} {percent(row.precisions[m].mean, 1)}" for m in reversed(methods)
    )
    lines = [
        Line(
            f"{method_title(method)}: average precision"
            f" {percent(row.precisions[method].mean, 1)} %",
            study.styles[method],
            [100 * recall for recall in row.curves[method].recall],
            row.curves[method].precision,
            [0.0] * len(row.curves[method].precision),
        )
        for method in methods
    ]
    svg = line_chart(
        f"{row.class_name}: precision against recall in %. Average precision: {numbers};"
        f" prevalence {percent(row.prevalence, 1)} ({row.positives} of {row.images} images)",
        lines,
        percent_tick,
        x_label="recall, %",
        x_range=(0.0, 100.0),
        y_range=(0.0, 1.0),
        reference=row.prevalence,
    )
    focus = percent(row.precisions[methods[-1]].mean, 1)
    # In two lines, so that panels side by side are aligned.
    numbers = f"AP {focus}, prevalence {percent(row.prevalence, 1)}"
    return Figure(Markup("{}<small>{}</small>").format(row.class_name, numbers), svg)
