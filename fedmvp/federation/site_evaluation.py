"""Evaluation where the images are: a site counts, the server adds up (no image, no prediction).

Groups are the site's own: ``known``, held-out images of the classes it trains on, among these;
``new``, those of its other classes, among those; ``personal``, the first by the model of a client
that keeps tensors to itself. A count is a number for each threshold, of which one label per image
has one; true and false positives of several labels are such counts, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from fedmvp.errors import ClientFailure
from fedmvp.evaluation.images import EvaluationImages
from fedmvp.evaluation.protocol import classify
from fedmvp.federation.failures import Failure
from fedmvp.federation.site_data import SiteData
from fedmvp.federation.wire import EvaluateReply
from fedmvp.methods.banks import OneBank
from fedmvp.methods.base import Method

__all__ = ["Counts", "SiteCounts", "add_up", "count_groups"]

Counts = dict[str, list[int]]
"""What is counted → a number for each threshold; ``right`` and ``total`` for one label."""

_PERSONAL = "personal"


def count_groups(
    method: Method, data: SiteData, load_personal: Callable[[], None]
) -> dict[str, Counts]:
    """Return the counts of each group that has images.

    Parameters
    ----------
    method : Method
        With the global tensors.
    load_personal : callable
        Puts the client's own tensors into it.
    """
    size, banks = data.config.batch_size, OneBank(data.bank)
    images = EvaluationImages(data.targets, data.source("test"), data.backbone, size)
    found: dict[str, Counts] = {}
    method.enter(None)
    for target in data.targets:
        right = classify(method, target, banks, images, size).correct
        found[target.group] = {"right": [right], "total": [len(target.images)]}
    known = next((target for target in data.targets if target.group == "known"), None)
    if method.personal and known:
        load_personal()
        method.enter(method.first_phase)
        right = classify(method, known, banks, images, size).correct
        found[_PERSONAL] = {"right": [right], "total": [len(known.images)]}
    return found


def enough(counts: Counts, minimum: int) -> bool:
    """Tell whether a group is large enough for its counts to leave the site."""
    return min(counts["total"]) >= minimum


@dataclass
class SiteCounts:
    """What the sites counted, added up.

    Attributes
    ----------
    groups : dict of str to Counts
    sites : dict of str to dict
        By site, as it was sent.
    withheld : dict of str to list of str
        Groups that a site kept to itself.
    failures : list of Failure
    """

    groups: dict[str, Counts] = field(default_factory=dict)
    sites: dict[str, dict[str, Counts]] = field(default_factory=dict)
    withheld: dict[str, list[str]] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)

    def accuracies(self) -> dict[str, float]:
        """Return the share of right images of each group of one label per image, in [0, 1]."""
        return {
            group: counts["right"][0] / counts["total"][0]
            for group, counts in self.groups.items()
            if counts.keys() == {"right", "total"} and counts["total"][0]
        }


def add_up(replies: Iterable[EvaluateReply | Failure]) -> SiteCounts:
    """Add the counts of all sites.

    A reply whose counts cannot be (more right than there are, other thresholds than the others
    have) is a failure of its site.
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
        raise ClientFailure("are not those of the other sites", where=where, hint=hint)
    for right, total in zip(counts.get("right", []), counts.get("total", []), strict=False):
        if right > total:
            raise ClientFailure("more right than there are", where=where, value=right, hint=hint)
    return {
        name: [
            a + b
            for a, b in zip(numbers, (so_far or {}).get(name, [0] * len(numbers)), strict=True)
        ]
        for name, numbers in counts.items()
    }
