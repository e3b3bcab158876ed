"""Counts at the sites: what they are, which stay there, and their sum."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from fedmvp.clip.backbone import Backbone
from fedmvp.federation.client import load_tensors
from fedmvp.federation.messages import EvaluateReply
from fedmvp.federation.site_evaluation import add_up
from fedmvp.federation.site_training import train_sites
from tests.unit.federation_sites.loopback import CLASSES, Loopback, plan_of

pytestmark = pytest.mark.usefixtures("words")


def served(loopback: Loopback) -> Any:
    backend = loopback.server()
    done = train_sites(loopback.plan, backend.method, backend, loopback.folder / "server")
    tensors = done.result.tensors
    return tensors, backend.evaluate(tensors, loopback.plan.clients, done.since)


@torch.no_grad()
def right(loopback: Loopback, client: str, tensors: Any, group: str, phase: str | None) -> int:
    """Count without the code under test: scores of each image among the group's classes."""
    site = loopback.sites[client]
    method = loopback.plan.create(loopback.backbone)
    load_tensors(method, tensors)
    if phase is not None:
        load_tensors(method, site.kept.before(client, 4).personal)
    method.enter(phase)
    target = next(t for t in site.data.targets if t.group == group)
    images, labels = site.data.source("test")("images", target.images, target.classes)
    classes = site.data.bank.select(target.classes)
    scores = method.logits(loopback.backbone.normalise(images), classes)
    return int((scores.argmax(dim=1).numpy() == labels).sum())


def test_counts_are_those_of_the_images(tiny: Backbone, tmp_path: Path) -> None:
    """Of a method with tensors of its own at each site; half of the classes are new."""
    plan = plan_of(tiny, "fedotp", learning_rate=0.5)
    loopback = Loopback(tmp_path, tiny, plan, {"known": "half"})
    tensors, counts = served(loopback)
    assert counts.failures == []
    sizes = {"alpha": (2, 1), "beta": (1, 1), "gamma": (2, 2)}
    for client, (known, new) in sizes.items():
        expected = {
            "known": (right(loopback, client, tensors, "known", None), 3 * known),
            "new": (right(loopback, client, tensors, "new", None), 3 * new),
            "personal": (right(loopback, client, tensors, "known", "all"), 3 * known),
        }
        found = {
            group: (entry["right"][0], entry["total"][0])
            for group, entry in counts.sites[client].items()
        }
        assert found == expected
    for group, total in (("known", 15), ("new", 12), ("personal", 15)):
        added = sum(site[group]["right"][0] for site in counts.sites.values())
        assert counts.groups[group] == {"right": [added], "total": [total]}
        assert counts.metrics()[group] == added / total
    # A model that says something else of each image: not one number by chance.
    assert len({tuple(entry["right"]) for entry in counts.groups.values()}) > 1


def test_small_groups_and_unwilling_sites_keep_theirs(tiny: Backbone, tmp_path: Path) -> None:
    entries = {"known": "half", "minimum": {"images": 2, "group": 6}}
    loopback = Loopback(tmp_path, tiny, plan_of(tiny, "promptfl", rounds=1), entries)
    gamma = loopback.sites["gamma"]
    gamma.evaluates = False
    _, counts = served(loopback)
    assert {client: set(groups) for client, groups in counts.sites.items()} == {
        "alpha": {"known"},
        "beta": set(),
        "gamma": set(),
    }
    assert counts.withheld == {"alpha": ["new"], "beta": ["known", "new"], "gamma": ["all"]}
    assert counts.groups.keys() == {"known"}
    assert set(CLASSES) == set(counts.sites)


def reply(client: str, **groups: Any) -> EvaluateReply:
    return EvaluateReply(client, 4, groups, [])


def test_thresholds_are_added_one_by_one() -> None:
    one = reply("a", findings={"true_positives": [3, 1], "false_positives": [5, 0]})
    two = reply("b", findings={"true_positives": [1, 1], "false_positives": [2, 2]})
    counts = add_up([one, two])
    assert counts.groups == {"findings": {"true_positives": [4, 2], "false_positives": [7, 2]}}
    assert counts.metrics() == {}


@pytest.mark.parametrize(
    ("groups", "text"),
    [
        (
            {"known": {"right": [4], "total": [3]}},
            "group known: more right than there are images; got 4",
        ),
        (
            {"known": {"right": [1, 1], "total": [3, 3]}},
            "are not of the same kind as the other sites'",
        ),
        ({"known": {"total": [3]}}, "are not of the same kind as the other sites'"),
    ],
)
def test_counts_that_cannot_be_are_a_failure(groups: Any, text: str) -> None:
    counts = add_up([reply("a", known={"right": [1], "total": [2]}), reply("b", **groups)])
    assert counts.groups == {"known": {"right": [1], "total": [2]}}
    [failure] = counts.failures
    assert failure.client == "b"
    assert text in failure.error
