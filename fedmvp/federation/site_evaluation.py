"""Evaluation where the images are: a site counts, the server adds up (no image, no prediction).

Each site has its own groups: ``known``, held-out images of the classes it trains on, classified
among these; ``new``, those of its other classes, classified among those; ``personal``, the images
of ``known`` classified by the personal model, for methods with personal tensors. A count is a list
with a number for each threshold; with one label per image there is one number. With many labels,
true positives, false positives and false negatives are counted over all pairs of image and class at
the thresholds of `fedmvp.evaluation.label_counts`; ``new`` are then the images that show a new
class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from fedmvp.errors import ClientFailure
from fedmvp.evaluation.attended import candidate_classes
from fedmvp.evaluation.images import EvaluationImages
from fedmvp.evaluation.label_counts import THRESHOLDS, counts_at, f1_metrics, log_odds
from fedmvp.evaluation.label_counts import Counts as LabelCounts
from fedmvp.evaluation.many_labels import score_target
from fedmvp.evaluation.protocol import classify
from fedmvp.federation.failures import Failure
from fedmvp.federation.messages import EvaluateReply
from fedmvp.federation.site_data import SiteData
from fedmvp.methods.banks import OneBank
from fedmvp.methods.base import Method
from fedmvp.partition.model import Target

__all__ = ["Counts", "SiteCounts", "add_up", "count_groups", "enough", "metrics_of"]

Counts = dict[str, list[int]]
"""Name of what is counted → a number for each threshold (`EvaluateReply`)."""

_PERSONAL = "personal"
_PARTS = ("true_positives", "false_positives", "false_negatives")


def count_groups(
    method: Method, data: SiteData, load_personal: Callable[[], None]
) -> dict[str, Counts]:
    """Return the counts of each group that has images.

    Parameters
    ----------
    method : Method
        The method, with the global tensors in it.
    load_personal : callable
        Puts the client's own tensors into the method.
    """
    size, banks = data.config.batch_size, OneBank(data.bank)
    trained = data.client.classes
    source = data.source("test")
    images = EvaluationImages(data.targets, source, data.backbone, size, method.head)
    found: dict[str, Counts] = {}
    method.enter(None)
    for target in data.targets:
        found[target.group] = _counted(method, target, banks, images, trained, size)
    known = next((target for target in data.targets if target.group == "known"), None)
    if method.personal and known:
        load_personal()
        method.enter(method.first_phase)
        found[_PERSONAL] = _counted(method, known, banks, images, trained, size)
    return found


def _counted(
    method: Method,
    target: Target,
    banks: OneBank,
    images: EvaluationImages,
    trained: Sequence[str],
    size: int,
) -> Counts:
    if not method.head.many_labels:
        right = classify(method, target, banks, images, size).correct
        return {"right": [right], "total": [len(target.images)]}
    classes = candidate_classes(banks, target, method.head, trained)
    found = score_target(method, target, classes, images, size)
    part = counts_at(found.scores, found.labels, [log_odds(p) for p in THRESHOLDS])
    hits, predicted, positives = (
        numbers.sum(axis=1) for numbers in (part.hits, part.predicted, part.positives)
    )
    return {
        "true_positives": hits.tolist(),
        "false_positives": (predicted - hits).tolist(),
        "false_negatives": (positives - hits).tolist(),
        "total": [len(target.images)],
    }


def enough(counts: Counts, minimum: int) -> bool:
    """Tell whether a group is large enough for its counts to leave the site.

    With many labels, the number of positive ones must reach the minimum, too: counts of a rare
    class would tell about few images.
    """
    sizes = list(counts["total"])
    if "true_positives" in counts:
        sizes.append(counts["true_positives"][0] + counts["false_negatives"][0])
    return min(sizes) >= minimum


def metrics_of(counts: Mapping[str, Sequence[int]]) -> dict[str, float]:
    """Return one group's metrics, by the suffix of their names; see `SiteCounts.metrics`."""
    if counts.keys() == {"right", "total"} and counts["total"][0]:
        return {"": counts["right"][0] / counts["total"][0]}
    if counts.keys() == {*_PARTS, "total"} and len(counts[_PARTS[0]]) == len(THRESHOLDS):
        place = THRESHOLDS.index(0.5)
        hits, wrong, missed = (counts[name][place] for name in _PARTS)
        numbers = (np.array([n], dtype=np.int64) for n in (hits, hits + wrong, hits + missed))
        found = f1_metrics(LabelCounts(*numbers))
        return {f"_{name}": found[name] for name in ("op", "or", "of1")}
    return {}


@dataclass
class SiteCounts:
    """The sites' counts, and their sums.

    Attributes
    ----------
    groups : dict of str to Counts
    sites : dict of str to dict
        Each site's counts, as sent.
    withheld : dict of str to list of str
        By site, the groups whose counts it did not release.
    failures : list of Failure
    """

    groups: dict[str, Counts] = field(default_factory=dict)
    sites: dict[str, dict[str, Counts]] = field(default_factory=dict)
    withheld: dict[str, list[str]] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)

    def metrics(self) -> dict[str, float]:
        """Return the metrics of the counts, in [0, 1].

        With one label per image, ``<group>`` is its accuracy. With many labels, ``<group>_op``,
        ``_or`` and ``_of1`` are precision, recall and F1 over all pairs at probability 0.5.
        """
        found: dict[str, float] = {}
        for group, counts in self.groups.items():
            found |= {f"{group}{end}": value for end, value in metrics_of(counts).items()}
        return found


def add_up(replies: Iterable[EvaluateReply | Failure]) -> SiteCounts:
    """Add the counts of all sites.

    A reply with impossible counts (more right than there are images, other thresholds than the
    other sites) is a failure of its site.
    """
    result = SiteCounts()
    for reply in replies:
        if isinstance(reply, Failure):
            result.failures.append(reply)
            continue
        try:
            added = {
                group: _added(result.groups.get(group), counts, group, reply.client)
                for group, counts in reply.groups.items()
            }
        except ClientFailure as error:
            result.failures.append(Failure.of(reply.client, reply.round_index, error))
            continue
        result.groups |= added
        result.sites[reply.client] = {name: dict(counts) for name, counts in reply.groups.items()}
        result.withheld[reply.client] = list(reply.withheld)
    return result


def _added(
    so_far: Counts | None, counts: Mapping[str, list[int]], group: str, client: str
) -> Counts:
    hint = "let all sites run the same version of fedmvp"
    where = f"counts of site {client}, group {group}"
    lengths = {name: len(numbers) for name, numbers in counts.items()}
    if so_far is not None and lengths != {name: len(numbers) for name, numbers in so_far.items()}:
        raise ClientFailure("are not of the same kind as the other sites'", where=where, hint=hint)
    for right, total in zip(counts.get("right", []), counts.get("total", []), strict=False):
        if right > total:
            raise ClientFailure(
                "more right than there are images", where=where, value=right, hint=hint
            )
    shown = zip(counts.get(_PARTS[0], []), counts.get(_PARTS[2], []), strict=False)
    if len({hits + missed for hits, missed in shown}) > 1:
        raise ClientFailure(
            "have another number of labels at each threshold", where=where, hint=hint
        )
    return {
        name: [
            a + b
            for a, b in zip(numbers, (so_far or {}).get(name, [0] * len(numbers)), strict=True)
        ]
        for name, numbers in counts.items()
    }
