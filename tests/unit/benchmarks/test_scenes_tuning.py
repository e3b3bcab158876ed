"""Rates of the profile `scenes` are scored on training images, in part on other classes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from benchmarks.rates import read_rates
from benchmarks.scenes_tuning import RATES, RECORD, SETTING, UNSEEN, inner_partition
from benchmarks.tuning import best_trial
from fedmvp.config import load_params
from tests.multi_toys import multi_manifest
from tests.paths import ROOT
from tests.unit.partition.test_multilabel import build

PROFILE = ROOT / "fedmvp/profiles/scenes-baselines.yaml"


def test_what_is_held_back_is_not_trained_on() -> None:
    manifest = multi_manifest()
    partition = build(manifest)
    images = SimpleNamespace(manifests={manifest.dataset: manifest})
    context: Any = SimpleNamespace(partition=partition, train_images=images)
    inner = inner_partition(context)
    (target,) = inner.targets
    trained = {image for client in inner.clients for image in client.train}
    every = {image for client in partition.clients for image in client.train}
    assert trained < every and set(target.images) < every and not trained & set(target.images)
    assert target.group == "gzsl" and target.classes == partition.clients[0].classes
    left_out = set(target.classes) - set(inner.clients[0].classes)
    assert len(left_out) == len(target.classes) // UNSEEN > 0
    for client in inner.clients:
        labels = manifest.label_matrix(client.train, client.classes)
        assert (labels == 1).any(axis=1).all()


def test_the_profile_has_the_rates_that_won() -> None:
    params = load_params(PROFILE)
    assert read_rates(ROOT / "no such record") == {}
    for name, scores in read_rates(ROOT / RECORD).items():
        assert len(scores) == len(RATES) and name in params.run.trained
        assert f"{params.methods[name]['federation']['learning_rate']:g}" == best_trial(scores)


def test_the_small_profile_has_the_rate_of_the_large_one() -> None:
    small = load_params(ROOT / "fedmvp/profiles/scenes.yaml")
    large = load_params(PROFILE)
    assert small.methods == large.methods and small.federation == large.federation
    assert (small.data, small.partition) == (large.data, large.partition)
    assert SETTING in small.run.settings
