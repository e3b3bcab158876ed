"""Upper bounds of mAP where a class that no test image shows counts as 0."""

from __future__ import annotations

from fedmvp.report.format import percent
from fedmvp.report.study import Study

__all__ = ["ceilings"]


def ceilings(study: Study, setting: str) -> list[str]:
    """Return a sentence per target with such classes under ``multilabel.empty_class: zero``."""
    run = next(run for run in study.runs if run.setting == setting)
    if run.params.get("multilabel", {}).get("empty_class") != "zero":
        return []
    sentences = []
    for target in run.targets:
        scored = target.measures.get("scored", float(target.classes))
        if scored < target.classes:
            sentences.append(
                f"{target.group} {target.name}: {scored:g} of {target.classes} classes are shown "
                "by a test image and the others count as 0, so mAP cannot exceed "
                f"{percent(scored / target.classes)} %."
            )
    return sentences
