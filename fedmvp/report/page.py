"""Renders the report: one HTML file without scripts, that loads nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from fedmvp.data.manifest import Manifest
from fedmvp.evaluation.bootstrap import RESAMPLES
from fedmvp.evaluation.sanity import below_chance
from fedmvp.methods import method_title
from fedmvp.report import figures, narrative, page_protocol, page_tables
from fedmvp.report.attention import ImageLoader, galleries
from fedmvp.report.ceilings import ceilings
from fedmvp.report.class_panels import class_panels
from fedmvp.report.class_scores import ClassScore
from fedmvp.report.comparisons import Comparisons
from fedmvp.report.federations import federation_parts
from fedmvp.report.label_pairs import label_pairs
from fedmvp.report.losses import losses
from fedmvp.report.partition_chart import partition_panels
from fedmvp.report.personal_table import personal_table
from fedmvp.report.pictures import ContactSheet
from fedmvp.report.protocols import fold_text, setting_note, setting_title
from fedmvp.report.published import EVIDENCE
from fedmvp.report.study import Study
from fedmvp.results.runs import Run
from fedmvp.wording import count_text

__all__ = ["render"]

_TEMPLATES = Path(__file__).parent / "templates"
# Tables with more rows than this are collapsed.
_LONG_TABLE = 16


def render(
    study: Study,
    comparisons: Comparisons,
    results_dir: Path,
    load_image: ImageLoader | None,
    sheet: ContactSheet | None,
    manifests: Mapping[str, Manifest] | None,
    classes: Mapping[str, Sequence[ClassScore]],
) -> str:
    """Return the page as text.

    Parameters
    ----------
    comparisons : Comparisons
        Comparisons of the method in focus with the others.
    load_image : callable, optional
        Source of the images under the attention maps; None leaves that part out.
    sheet : ContactSheet, optional
        Example images as the sites see them; None leaves them out.
    manifests : mapping of str to Manifest, optional
        Manifests of all datasets; None leaves out the charts of partitions.
    classes : mapping of setting to sequence of ClassScore
        Empty where images show one class.
    """
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals["method_title"] = method_title
    environment.globals["setting_title"] = setting_title
    environment.globals["fold_text"] = fold_text
    plates, definitions = (
        galleries(study, load_image, results_dir) if load_image else ([], Markup(""))
    )
    # Safe: the style sheet is part of the package; escaping would break its selectors.
    style = Markup((_TEMPLATES / "style.css").read_text(encoding="utf-8"))  # noqa: S704
    return environment.get_template("report.html.j2").render(
        style=style,
        subject=study.subject,
        headline=narrative.headline(study, comparisons),
        compared=narrative.compared(study),
        intervals_note=narrative.intervals_note(study, comparisons),
        tiles=narrative.tiles(study, comparisons),
        losses=losses(study, comparisons),
        sheet=sheet,
        legend=[(style, method_title(method)) for method, style in study.styles.items()],
        setting_columns=[
            (setting, setting_title(setting), scores.title(scores.protocol.primary))
            for setting, scores in study.scores.items()
        ],
        measure=_measure(study),
        summary=page_tables.summary_table(study),
        overview=figures.overview_panels(study),
        missing=study.missing,
        sections=[_section(study, setting, classes[setting]) for setting in study.scores],
        galleries=plates,
        answered=any(plate.answers for gallery in plates for plate in gallery.plates),
        definitions=definitions,
        protocol=[_protocol(study, setting, manifests) for setting in study.scores],
        parameters=page_protocol.parameters(study),
        provenance=[_origin(run) for run in study.runs],
        below_chance=[
            (run, target)
            for run in study.runs
            if study.partitions[run.setting].task == "single"
            for target in below_chance(vars(t) for t in run.targets)
        ],
        federations=federation_parts(study.federations),
        failures=[(run, failure) for run in study.runs for failure in run.failures],
        evidence=EVIDENCE,
        any_published=any(study.published.values()),
        long_table=_LONG_TABLE,
        resamples=count_text(RESAMPLES),
        several_seeds=len(study.seeds) > 1,
    )


def _measure(study: Study) -> str:
    """Return the measure by which settings are scored, or `Scores` if they differ."""
    found = {study.measure(setting) for setting in study.scores}
    return _title(found.pop()) if len(found) == 1 else "Scores"


def _title(measure: str) -> str:
    return measure[0].upper() + measure[1:] if measure.islower() else measure


def _section(study: Study, setting: str, classes: Sequence[ClassScore]) -> dict[str, Any]:
    scores = study.scores[setting]
    measured, published = page_tables.main_table(study, setting)
    by_dataset = scores.protocol.part == "dataset"
    targets, published_targets = (
        ([], []) if by_dataset else page_tables.target_table(study, setting)
    )
    shown = figures.target_methods(study, setting)
    used = set(scores.methods)
    return {
        "name": setting,
        "title": setting_title(setting),
        "long_title": study.subject.setting_titles.get(setting, ""),
        "note": setting_note(setting),
        "metrics": scores.protocol.metrics,
        "primary": scores.protocol.title(scores.protocol.primary),
        "measure": _title(study.measure(setting)),
        "measured": measured,
        "published": published,
        "metric_panels": figures.metric_panels(study, setting),
        "dataset_tables": page_tables.dataset_tables(study, setting) if by_dataset else [],
        "targets": targets,
        "target_methods": [method_title(method) for method in scores.methods],
        "published_targets": [row.title for row in published_targets],
        "legend": [(style, method_title(m)) for m, style in study.styles.items() if m in used],
        "trained_legend": [(study.styles[m], method_title(m)) for m in study.trained_in(setting)],
        "personal": personal_table(study, setting),
        "many": study.partitions[setting].task == "multi",
        "ceilings": ceilings(study, setting),
        "classes": class_panels(study, setting, classes),
        "curves": figures.curve_panels(study, setting),
        "traffic": figures.traffic_panel(study, setting),
        "communication": page_tables.communication(study, setting),
        "folds": len(study.partitions[setting].folds),
        "training_notes": page_protocol.training_notes(study, setting),
        "part_panels": figures.target_panels(study, setting),
        "part_legend": [(study.styles[m], method_title(m)) for m in shown],
        "part_rows": page_tables.part_rows(study, setting),
        "by_client": any(
            target.group == "local"
            for run in study.runs
            if run.setting == setting
            for target in run.targets
        ),
    }


def _protocol(
    study: Study, setting: str, manifests: Mapping[str, Manifest] | None
) -> dict[str, Any]:
    partition = study.partitions[setting]
    first = partition.folds[:1]  # other folds differ in what they leave out
    return {
        "name": setting,
        "title": setting_title(setting),
        "counts": page_protocol.protocol_rows(partition),
        "clients": partition.clients,
        "scheme": partition.scheme or "class blocks",
        "panels": partition_panels(partition, manifests, folds=first) if manifests else [],
        "fold": first[0] if len(partition.folds) > 1 else "",
        "pairs": label_pairs(partition, manifests) if manifests else [],
    }


def _origin(run: Run) -> dict[str, Any]:
    seeded = f"{run.setting}-{run.method}-{run.seed}"
    stages = [f"train@{seeded}", f"evaluate@{seeded}"]
    return {
        "setting": run.setting,
        "method": run.method,
        "seed": run.seed,
        "stages": stages if run.trained else [f"zero_shot@{run.setting}-{run.method}"],
        "file": run.metrics_path,
        "sha256": run.metrics_sha256,
    }
