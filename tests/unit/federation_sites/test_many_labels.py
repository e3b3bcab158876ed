"""Sites whose images show many classes: the same bytes as one process, counts that add up."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save

from fedmvp.clip.backbone import Backbone
from fedmvp.config import FederationParams
from fedmvp.errors import CheckpointError, ClientFailure, ConfigError
from fedmvp.evaluation.label_counts import THRESHOLDS
from fedmvp.federation.backend import InProcessBackend
from fedmvp.federation.client import load_tensors
from fedmvp.federation.head_start import HeadSums, client_sums, start_with
from fedmvp.federation.messages import StartJob, StartReply
from fedmvp.federation.plan import Plan, require_possible
from fedmvp.federation.remote import RemoteBackend
from fedmvp.federation.rounds import run_federation
from fedmvp.federation.site import Site
from fedmvp.federation.site_config import load_site_config
from fedmvp.federation.site_training import train_sites
from fedmvp.federation.wire import encode
from fedmvp.multilabel_config import MultiLabelParams
from tests.toys import FEDERATION, LOOKS, toy_images
from tests.unit.federation_sites.loopback import plan_of

pytestmark = pytest.mark.usefixtures("words")

CLASSES = {"alpha": ("ant", "bee", "cow"), "beta": ("elk", "fox", "gnu", "hen")}
TRAIN, TEST = 9, 12


def plan(
    backbone: Backbone, method: str = "promptfl", head: Mapping[str, Any] = {}, **entries: Any
) -> Plan:
    return Plan(
        name="many",
        method=method,
        federation=FederationParams(**{**FEDERATION, "rounds": 3, **entries}),
        seed=1,
        clients=tuple(CLASSES),
        backbone={"sha256": backbone.spec.tower_sha256},
        multilabel=MultiLabelParams(**head),
    )


class Sites:
    """Two sites with tables of labels, and a server; bytes go between them."""

    def __init__(self, folder: Path, backbone: Backbone, plan: Plan, **entries: Any) -> None:
        self.folder, self.plan, self.backbone = folder, plan, backbone
        self.log: list[str] = []
        self.asked: list[str] = []
        self.sites = {}
        for client in CLASSES:
            write_site(folder / client, client, backbone, entries)
            config = load_site_config(folder / client / "site.yaml")
            states = folder / client / "states"
            self.sites[client] = Site(config, plan, backbone, states, self.log.append)

    def server(self) -> RemoteBackend:
        def send(jobs: Any) -> None:
            for client, job in jobs.items():
                self.asked.append(client)
                backend.deliver(client, self.sites[client].handle(job))

        backend = RemoteBackend(self.plan, self.plan.create(self.backbone), send, deadline_s=60)
        return backend

    def train(self, backend: RemoteBackend, folder: str = "server") -> Any:
        return train_sites(
            self.plan,
            backend.method,
            backend,
            self.folder / folder,
            head_sums=lambda: backend.head_sums(self.plan.clients),
        )


def write_site(folder: Path, client: str, backbone: Backbone, entries: Any) -> None:
    names, rows = CLASSES[client], ["image,classes"]
    for part, count in (("train", TRAIN), ("test", TEST)):
        looks = [k % len(names) for k in range(count)]
        images = toy_images(backbone, looks, len(client) + count)
        for k, pixels in enumerate(images):
            path = folder / "images" / part / f"{k}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
            shown = {names[looks[k]], *([names[0]] if k % 4 == 3 else [])}
            rows.append(f"{part}/{k}.png,{'' if k == 5 else ';'.join(sorted(shown))}")
    (folder / "labels.csv").write_text("\n".join(rows), encoding="utf-8")
    texts = {name: [f"{LOOKS[k]} mark"] for k, name in enumerate(names)}
    head = {"dataset": "d", "provider": "p", "model": "m", "template": "t"}
    (folder / "attributes.json").write_text(json.dumps({**head, "classes": texts}), "utf-8")
    value = {
        "client": client,
        "images": {"tree": "images", "labels": "labels.csv"},
        "attributes": "attributes.json",
        "backbone": "clip",
        "minimum": {"images": 2, "group": 2},
        **entries,
    }
    (folder / "site.yaml").write_text(json.dumps(value), encoding="utf-8")


@pytest.mark.parametrize(
    ("method", "head"),
    [("promptfl", {}), ("fedmvp", {"head": "tiles", "whole": True}), ("fedotp", {"loss": "bce"})],
)
def test_sites_give_the_bytes_of_one_process(
    tiny: Backbone, tmp_path: Path, method: str, head: Any
) -> None:
    sites = Sites(tmp_path, tiny, plan(tiny, method, head, client_state="persistent"))
    data = {client: site.data.client_data() for client, site in sites.sites.items()}
    here = sites.plan.create(tiny)
    sums = HeadSums()
    for each in data.values():
        sums += client_sums(here, each)
    assert (sums.positive, sums.known) == (19, 9 * 3 + 9 * 4)
    start_with(here, sums)
    federation = sites.plan.resolved()
    expected = run_federation(
        {name: tensor.detach().clone() for name, tensor in here.tensors().items()},
        InProcessBackend(here, data.__getitem__, sites.plan.clients, federation, 1),
        sites.plan.clients,
        federation,
        seed=1,
        server=here.server(federation.rounds),
    )
    found = sites.train(sites.server()).result
    assert sites.log == []
    assert found.rows == expected.rows
    assert save(found.tensors) == save(expected.tensors)
    assert all(0 <= row["of1"] <= 1 for row in found.rows)
    assert "accuracy" not in found.rows[0]
    start = sites.plan.create(tiny).tensors()["head.bias"]
    assert not torch.equal(found.tensors["head.bias"], start)


@torch.no_grad()
def counted(sites: Sites, client: str, tensors: Any, group: str) -> dict[str, list[int]]:
    """Count pair by pair, without the code under test."""
    site, method = sites.sites[client], sites.plan.create(sites.backbone)
    load_tensors(method, tensors)
    method.enter(None)
    target = next(t for t in site.data.targets if t.group == group)
    images, labels = site.data.source("test")("images", target.images, target.classes)
    scores = method.logits(sites.backbone.normalise(images), site.data.bank.select(target.classes))
    sure = torch.sigmoid(method.head.pool(scores).double()).numpy()
    found: dict[str, list[int]] = {name: [] for name in ("true_positives", "false_positives")}
    for threshold in THRESHOLDS:
        said = sure > threshold
        found["true_positives"].append(int((said & (labels == 1)).sum()))
        found["false_positives"].append(int((said & (labels == 0)).sum()))
    shown = int((labels == 1).sum())
    found["false_negatives"] = [shown - hits for hits in found["true_positives"]]
    return {**found, "total": [len(target.images)]}


def test_counts_are_those_of_the_images_and_their_sum(tiny: Backbone, tmp_path: Path) -> None:
    sites = Sites(tmp_path, tiny, plan(tiny, learning_rate=0.5), known="half")
    backend = sites.server()
    done = sites.train(backend)
    counts = backend.evaluate(done.result.tensors, sites.plan.clients, done.since)
    assert counts.failures == []
    for group in ("known", "new"):
        ours = [counted(sites, client, done.result.tensors, group) for client in CLASSES]
        for client, each in zip(CLASSES, ours, strict=True):
            assert counts.sites[client][group] == each
        total = {name: np.sum([each[name] for each in ours], axis=0).tolist() for name in ours[0]}
        assert counts.groups[group] == total
        hits, wrong, missed = (total[name][9] for name in list(total)[:3])
        metrics = counts.metrics()
        assert metrics[f"{group}_of1"] == pytest.approx(2 * hits / (2 * hits + wrong + missed))
        assert metrics[f"{group}_or"] == pytest.approx(hits / (hits + missed))
    assert len(set(counts.groups["known"]["true_positives"])) > 1
    text = json.dumps(counts.sites)
    assert not [name for names in CLASSES.values() for name in names if name in text]


def test_groups_with_few_positives_stay_at_the_site(tiny: Backbone, tmp_path: Path) -> None:
    """Alpha's new class is shown by three images of four, beta's two by six."""
    minimum = {"images": 2, "group": 5}
    sites = Sites(tmp_path, tiny, plan(tiny, rounds=1), known="half", minimum=minimum)
    backend = sites.server()
    done = sites.train(backend)
    counts = backend.evaluate(done.result.tensors, sites.plan.clients, done.since)
    assert counts.withheld == {"alpha": ["new"], "beta": []}
    few = Sites(tmp_path / "few", tiny, plan(tiny), minimum={"images": 2, "group": 12})
    groups = few.server().evaluate(done.result.tensors, few.plan.clients, {}).sites
    shown = {client: len(groups[client]) for client in CLASSES}
    assert shown == {"alpha": 1, "beta": 1}  # twelve images, and as many positives


def test_the_sums_are_asked_for_once(tiny: Backbone, tmp_path: Path) -> None:
    """A job that resumes starts the head as the first did, whoever is there."""
    sites = Sites(tmp_path, tiny, plan(tiny))
    first = sites.train(sites.server()).result
    backend = sites.server()

    def none() -> HeadSums:
        raise AssertionError("asked again")

    again = train_sites(sites.plan, backend.method, backend, tmp_path / "server", head_sums=none)
    assert save(again.result.tensors) == save(first.tensors)
    (tmp_path / "server/head_sums.json").write_text("{}x", encoding="utf-8")
    with pytest.raises(CheckpointError, match="does not hold four sums"):
        sites.train(sites.server())


def test_a_site_that_gives_no_sums_is_left_out_if_enough_are_left(
    tiny: Backbone, tmp_path: Path
) -> None:
    sites = Sites(tmp_path, tiny, plan(tiny, on_client_failure="skip", min_clients=1))
    alone = sites.sites["alpha"].start(StartJob("many", "alpha", 0))
    assert isinstance(alone, StartReply)
    backend = sites.server()
    wrong = StartReply("beta", 0, 9.0, 1, 1, 2)
    sites.sites["beta"].handle = lambda job: encode(wrong)  # type: ignore[method-assign]
    found = backend.head_sums(sites.plan.clients)
    assert (found.positive, found.known) == (alone.positive, alone.known)
    strict = Sites(tmp_path / "strict", tiny, plan(tiny, min_clients=2))
    strict.sites["beta"].handle = sites.sites["beta"].handle  # type: ignore[method-assign]
    with pytest.raises(ClientFailure, match=r"1 of 2 sites .*site beta: its sums are impossible"):
        strict.server().head_sums(strict.plan.clients)


def test_a_site_of_one_class_an_image_gives_no_sums(tiny: Backbone, tmp_path: Path) -> None:
    from tests.unit.federation_sites.loopback import Loopback

    loopback = Loopback(tmp_path, tiny, plan_of(tiny, "promptfl"))
    with pytest.raises(ClientFailure, match="no sums are needed"):
        loopback.server().head_sums(["alpha"])


def test_what_is_not_possible_is_refused_before_a_site_is_asked(tiny: Backbone) -> None:
    private = {"clip_norm": 1.0, "noise_multiplier": 1.0, "delta": 1e-3}
    with pytest.raises(ConfigError, match="without noise"):
        require_possible(plan(tiny, privacy=private, min_clients=2))
    with pytest.raises(ConfigError, match="needs a method with one text for each class"):
        require_possible(plan(tiny, "fedotp", {"head": "region"}))
