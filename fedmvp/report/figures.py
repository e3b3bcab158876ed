"""Which chart shows what: the panels of the overview and of each setting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from fedmvp.methods import method_title
from fedmvp.partition.setting_spec import MAIN_FOLD
from fedmvp.report.estimates import FOCUS, Estimate, SettingScores, verdict
from fedmvp.report.format import bytes_text, percent, significant
from fedmvp.report.protocols import setting_title
from fedmvp.report.study import Study
from fedmvp.report.svg import Line, Mark, Row, dot_rows, line_chart
from fedmvp.report.svg_marks import label_width
from fedmvp.report.targets import TargetRow, target_rows
from fedmvp.report.training import Curve, curves, traffic_curve

__all__ = [
    "Figure",
    "curve_panels",
    "metric_panels",
    "overview_panels",
    "target_methods",
    "target_panels",
    "traffic_panel",
]

# With more methods a row of dots is unreadable; then only the most relevant ones are drawn.
_MOST_DOTS = 5
# Curves whose values differ more than this are drawn on a logarithmic axis.
_LOGARITHMIC_FROM = 20.0

_CURVE_TITLES = {
    "loss": "Loss",
    "loss_ce": "Cross-entropy",
    "loss_con": "Consistency loss",
    "accuracy": "Training accuracy, %",
    "of1": "Training OF1, %",
}


@dataclass(frozen=True)
class Figure:
    """A chart with its heading."""

    title: str
    svg: Markup


def overview_panels(study: Study) -> list[Figure]:
    """Return a panel per setting: every method in the metric by which methods are ranked."""
    return [
        Figure(
            f"{setting_title(setting)}, {scores.title(scores.protocol.primary)}",
            _method_dots(study, scores, scores.protocol.primary),
        )
        for setting, scores in study.scores.items()
    ]


def metric_panels(study: Study, setting: str) -> list[Figure]:
    """Return a panel per headline metric of a setting that has several."""
    scores = study.scores[setting]
    scored = scores.protocol.scored
    if len(scored) == 1:
        return []
    return [Figure(scores.title(m.key), _method_dots(study, scores, m.key)) for m in scored]


def _method_dots(study: Study, scores: SettingScores, key: str) -> Markup:
    rows = [
        Row(
            method_title(method),
            [_mark(study, method, scores.table[method][key])],
            percent(scores.table[method][key].mean, 1),
        )
        for method in scores.methods
    ]
    untrained = [scores.table[m][key].mean for m in scores.methods if m not in scores.trained]
    title = f"{setting_title(scores.setting)}: {scores.protocol.title(key)} of every method"
    width = label_width(row.label for row in rows)
    return dot_rows(
        title,
        rows,
        percent_tick,
        width=400,
        label_width=width,
        reference=max(untrained, default=None),
    )


def _mark(study: Study, method: str, value: Estimate) -> Mark:
    spread = "" if value.std is None else f" ± {percent(value.std)}"
    return Mark(
        style=study.styles[method],
        value=value.mean,
        half_width=value.std or 0.0,
        tooltip=f"{method_title(method)}: {percent(value.mean)}{spread} %",
    )


def curve_panels(study: Study, setting: str) -> list[Figure]:
    """Return a panel for every quantity recorded during training."""
    recorded = [curves(study.runs_of(setting, method)) for method in study.trained_in(setting)]
    panels = []
    many = study.partitions[setting].task == "multi"
    titles = _CURVE_TITLES | ({"loss_ce": "Classification loss"} if many else {})
    for quantity, title in titles.items():
        found = [by_name[quantity] for by_name in recorded if quantity in by_name]
        if found:
            panels.append(
                Figure(
                    title,
                    line_chart(
                        f"{setting_title(setting)}: {title} per round",
                        [_line(study, curve) for curve in found],
                        percent_tick if quantity in ("accuracy", "of1") else significant,
                    ),
                )
            )
    return panels


def percent_tick(value: float) -> str:
    """Return the label of a percent axis's tick, without needless decimals."""
    return significant(100 * value)


def _line(study: Study, curve: Curve) -> Line:
    return Line(
        name=method_title(curve.method),
        style=study.styles[curve.method],
        xs=curve.rounds,
        ys=[value.mean for value in curve.values],
        half_widths=[value.std or 0.0 for value in curve.values],
    )


def traffic_panel(study: Study, setting: str) -> Figure | None:
    """Return a chart of the bytes per round, up and down, over all clients of the round."""
    found = [traffic_curve(study.runs_of(setting, m)) for m in study.trained_in(setting)]
    lines = [_line(study, curve) for curve in found if curve is not None]
    values = [y for line in lines for y in line.ys]
    if not values or max(values) <= 0:
        return None
    logarithmic = min(values) > 0 and max(values) / min(values) > _LOGARITHMIC_FROM
    svg = line_chart(
        f"{setting_title(setting)}: bytes per round",
        lines,
        _bytes_tick,
        logarithmic=logarithmic,
        from_zero=True,
    )
    scale = " (logarithmic)" if logarithmic else ""
    return Figure(f"Bytes per round, up and down{scale}", svg)


def _bytes_tick(value: float) -> str:
    number, unit = bytes_text(value).split(" ")
    return f"{significant(float(number))} {unit}"


def target_methods(study: Study, setting: str) -> tuple[str, ...]:
    """Return the methods drawn per target: all, or a choice if there are many.

    The choice is FedMVP, the best zero-shot method and the best other trained method.
    """
    scores = study.scores[setting]
    if len(scores.methods) <= _MOST_DOTS:
        return scores.methods
    result = verdict(scores)
    others = [m for m in scores.methods if m in scores.trained and m != result.focus]
    best = max(others, key=lambda m: scores.primary(m).mean, default=None)
    chosen = {result.focus, result.reference, best, FOCUS}
    return tuple(method for method in scores.methods if method in chosen)


def target_panels(study: Study, setting: str) -> list[Figure]:
    """Return accuracy per client by dataset, or per target by fold and dataset.

    Clients are the targets of group ``local``; settings without such targets show all but those
    trained on.
    """
    rows = [row for row in target_rows(study, setting) if row.target.group != "source"]
    local = [row for row in rows if row.target.group == "local"]
    groups = _by_dataset(local) if local else _grouped(rows)
    shown = target_methods(study, setting)
    # One axis for all panels, so that they can be compared.
    means = [
        e.mean
        for rows in groups.values()
        for row in rows
        for method, e in row.by_method.items()
        if method in shown
    ]
    panels = {
        title: [_target_row(study, row, rows, shown) for row in rows]
        for title, rows in groups.items()
    }
    width = label_width(row.label for rows in panels.values() for row in rows)
    return [
        Figure(
            title,
            dot_rows(
                f"{setting_title(setting)}: {study.measure(setting)}, {title}",
                rows,
                percent_tick,
                width=300,
                label_width=width,
                row_height=18,
                domain=(min(means), max(means)),
            ),
        )
        for title, rows in panels.items()
    ]


def _by_dataset(rows: Sequence[TargetRow]) -> dict[str, list[TargetRow]]:
    return _group(rows, lambda row: row.target.dataset)


def _grouped(rows: Sequence[TargetRow]) -> dict[str, list[TargetRow]]:
    """Group by the finest key that leaves no panel with a single row of dots."""
    by_fold_and_dataset = _group(rows, _fold_and_dataset)
    candidates = [by_fold_and_dataset, _by_dataset(rows)]
    enough = (found for found in candidates if all(len(members) > 1 for members in found.values()))
    return next(enough, {"all targets": list(rows)})


def _fold_and_dataset(row: TargetRow) -> str:
    fold = "" if row.target.fold == MAIN_FOLD else f"fold {row.target.fold}, "
    return f"{fold}{row.target.dataset}"


def _group(
    rows: Sequence[TargetRow], key: Callable[[TargetRow], str]
) -> dict[str, list[TargetRow]]:
    groups: dict[str, list[TargetRow]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups


def _target_row(
    study: Study, row: TargetRow, panel: Sequence[TargetRow], shown: Sequence[str]
) -> Row:
    target = row.target
    label = target.name.removeprefix(f"{target.dataset}-").removeprefix(f"{target.fold}-to-")
    if sum(other.target.name == target.name for other in panel) > 1:
        label = f"{label}, {target.dataset}"
    # The method in focus is drawn last, on top.
    drawn = sorted((m for m in shown if m in row.by_method), key=lambda m: m == FOCUS)
    marks = [_mark(study, m, Estimate(row.by_method[m].mean, None, 1)) for m in drawn]
    prevalence = target.measures.get("prevalence")
    return Row(label, marks, "" if prevalence is None else percent(prevalence, 1))
