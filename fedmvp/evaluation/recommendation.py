"""Whether visual prompts are likely to help on a dataset, in words, judged by its probe.

The thresholds come from the five emoji datasets with PictoCLIP, seen through their cameras at
severities 0, 0.35, 0.7 and 1: `python -m benchmarks.probe_severity` wrote the numbers to
docs/probe_severity.csv, and `python -m benchmarks.severity` measures what FedMVP gains there.
docs/probe.md shows both side by side. All five datasets share their cameras, so this is evidence
from four severities and one backbone: only a rule of thumb.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from fedmvp.evaluation.probe import Probe

__all__ = ["FAMILIAR", "GAP_POINTS", "UNLIKE", "UNLIKE_ALONE", "Recommendation", "recommend"]

FAMILIAR = 0.1
"""Shift up to which images count as known: the largest at severity 0.35, rounded up, where
zero-shot accuracy is that of clean images. At severity 0, where FedMVP gained nothing, it is 0.02
at most."""

UNLIKE = 0.3
"""Shift from which images count as unlike: the smallest at severity 0.7, rounded down, where FedMVP
gained about 3 points."""

UNLIKE_ALONE = 0.45
"""The same for a dataset of one domain: the largest of a single style at severity 0, rounded up.
One style varies less than the reference's eight, and that counts as a difference, too."""

GAP_POINTS = 10.0
"""Gap from which the features contain clearly more than the texts use: the smallest at severities
0.7 and 1, rounded down. It is necessary, but not sufficient: it is as large at severity 0."""

_STANDARD_ERRORS = 3.0
"""A linear probe within this many standard errors of guessing counts as no better than chance, as
in `fedmvp.evaluation.sanity`. This value is not measured: no emoji dataset is that bad."""

Verdict = Literal["other_backbone", "prompts", "little", "unclear", "not_measured"]


@dataclass(frozen=True)
class Recommendation:
    """The recommendation, for programs and for people.

    Parameters
    ----------
    verdict : str
        ``other_backbone``: the features are useless, or the backbone was not made for such images;
        ``prompts``: visual prompts should help; ``little``: expect little of them; ``unclear``:
        between the measured cases; ``not_measured``: no patch statistics are recorded for this
        backbone.
    text : str
        One paragraph.
    """

    verdict: Verdict
    text: str


def recommend(probe: Probe) -> Recommendation:
    """Return what a probe's numbers say about visual prompts."""
    chance, tested = probe.chance, probe.whole.test_images
    guessing = _STANDARD_ERRORS * math.sqrt(chance * (1 - chance) / tested)
    if probe.linear_probe < chance + guessing:
        return Recommendation(
            "other_backbone",
            f"Even a linear probe is near chance ({probe.linear_probe:.1%}, guessing "
            f"{chance:.1%}): choose another backbone.",
        )
    if probe.foreign is not None:
        return Recommendation("other_backbone", f"{probe.foreign}.")
    shift, gap = probe.whole.shift, probe.gap_points
    if shift is None:
        return Recommendation(
            "not_measured",
            "How far the patches lie from what this backbone was trained on is not known, and what "
            f"visual prompts gain was measured on PictoCLIP alone. {_reads(gap)} {_TRY}",
        )
    alone = sum(group.train_images > 0 for group in probe.domains) == 1
    if shift <= FAMILIAR:
        return Recommendation(
            "little",
            f"Images look like what the tower knows (shift {shift:.2f}): expect little from visual "
            f"prompts; better texts or a better backbone help more. {_reads(gap)}",
        )
    if shift >= (UNLIKE_ALONE if alone else UNLIKE):
        if gap >= GAP_POINTS:
            return Recommendation(
                "prompts",
                f"Images look unlike what the tower knows (shift {shift:.2f}) and a linear probe "
                f"reads {gap:.0f} points more than the template: a case for FedMVP.",
            )
        return Recommendation(
            "unclear",
            f"Images look unlike what the tower knows (shift {shift:.2f}), but the features know "
            f"little that the texts do not read. {_reads(gap)} No such case was measured. {_TRY}",
        )
    style = " One style of drawing alone may differ as much." if alone and shift >= UNLIKE else ""
    return Recommendation(
        "unclear",
        f"Images look somewhat unlike what the tower knows (shift {shift:.2f}), between where "
        f"FedMVP gained nothing and where it gained.{style} {_reads(gap)} {_TRY}",
    )


_TRY = "Train FedMVP and compare it with zero_shot_combined, which is FedMVP without prompts."


def _reads(gap: float) -> str:
    more = "more" if gap >= 0 else "fewer"
    return f"A linear probe reads {abs(gap):.0f} points {more} than the template."
