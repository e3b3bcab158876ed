"""Sites and a server in one process: everything between them is bytes, as over an engine."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from fedmvp.clip.backbone import Backbone
from fedmvp.config import FederationParams
from fedmvp.federation.backend import InProcessBackend
from fedmvp.federation.plan import Plan
from fedmvp.federation.remote import RemoteBackend
from fedmvp.federation.rounds import FederationResult, run_federation
from fedmvp.federation.site import Site
from fedmvp.federation.site_config import SiteConfig, load_site_config
from fedmvp.federation.states import MemoryStates
from tests.toys import FEDERATION, LOOKS, toy_images

#: Each site's own classes: no name of one must be found anywhere but there.
CLASSES = {
    "alpha": ("zzcanaryfox", "zzcanaryowl", "zzcanarytram"),
    "beta": ("yycanarykite", "yycanarybirch"),
    "gamma": ("xxcanaryviolin", "xxcanarystar", "xxcanarypot", "xxcanarysea"),
}
PER_CLASS = {"alpha": 3, "beta": 5, "gamma": 4}


def plan_of(
    backbone: Backbone, method: str, section: Mapping[str, Any] = {}, **entries: Any
) -> Plan:
    """Return a plan of the three sites; `entries` of the federation section."""
    return Plan(
        name="toy",
        method=method,
        section=dict(section),
        federation=FederationParams(**{**FEDERATION, "rounds": 4, **entries}),
        seed=1,
        clients=tuple(CLASSES),
        backbone={"sha256": backbone.spec.tower_sha256},
        forwards_updates=True,
    )


def make_site(folder: Path, client: str, backbone: Backbone, **entries: Any) -> SiteConfig:
    """Write a site's images, texts and site.yaml, and return what is read of it."""
    names = CLASSES[client]
    for number, name in enumerate(names):
        for part, count in (("train", PER_CLASS[client]), ("test", 3)):
            seed = 7 * len(client) + (part == "test")
            images = toy_images(backbone, [number] * count, seed)
            for index, pixels in enumerate(images):
                path = folder / f"secretfolder/{part}/{name}/secretfile{index}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path)
    texts = {name: [f"{LOOKS[k]} mark" for k in range(k + 1)] for k, name in enumerate(names)}
    head = {"dataset": "d", "provider": "p", "model": "m", "template": "t"}
    attributes = json.dumps({**head, "classes": texts})
    (folder / "attributes.json").write_text(attributes, encoding="utf-8")
    config = {
        "client": client,
        "images": {"tree": "secretfolder"},
        "attributes": "attributes.json",
        "backbone": "clip",
        "minimum": {"images": 2, "group": 3},
        **entries,
    }
    (folder / "site.yaml").write_text(json.dumps(config), encoding="utf-8")
    return load_site_config(folder / "site.yaml")


@dataclass
class Loopback:
    """Three sites, each with a folder, and an engine that carries bytes between them and a server.

    Attributes
    ----------
    wire : list of bytes
        All that left a site.
    absent : callable
        Tells of client and number of the exchange whether the reply is lost.
    """

    folder: Path
    backbone: Backbone
    plan: Plan
    entries: dict[str, Any] = field(default_factory=dict)
    wire: list[bytes] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    absent: Callable[[str, int], bool] = lambda client, number: False
    exchanges: int = 0

    def __post_init__(self) -> None:
        self.configs = {
            client: make_site(self.folder / client, client, self.backbone, **self.entries)
            for client in self.plan.clients
        }
        self.sites = {client: self.open(client) for client in self.configs}

    def open(self, client: str) -> Site:
        """Start a site anew on the folder it has."""
        states = self.folder / client / "states"
        config = self.configs[client]
        return Site(config, self.plan, self.backbone, states, self.log.append)

    def server(self, **options: Any) -> RemoteBackend:
        """Return a server's backend; jobs are answered at once, in reverse order."""

        def send(jobs: Mapping[str, bytes]) -> None:
            for client, job in reversed(jobs.items()):
                reply = self.sites[client].handle(job)
                self.wire.append(reply)
                if self.absent(client, self.exchanges):
                    backend.lost(client, "is away")
                else:
                    backend.deliver(client, reply)
            self.exchanges += 1

        method = self.plan.create(self.backbone)
        backend = RemoteBackend(self.plan, method, send, deadline_s=60, **options)
        return backend


def in_process(loopback: Loopback) -> tuple[FederationResult, MemoryStates]:
    """Train the same federation by sequential simulation."""
    plan = loopback.plan
    method = plan.create(loopback.backbone)
    states = MemoryStates(method.first_phase)
    federation = plan.resolved()
    backend = InProcessBackend(
        method,
        lambda client: loopback.sites[client].data.client_data(),
        plan.clients,
        federation,
        plan.seed,
        states,
    )
    result = run_federation(
        {name: tensor.detach().clone() for name, tensor in method.tensors().items()},
        backend,
        plan.clients,
        federation,
        seed=plan.seed,
        server=method.server(federation.rounds),
    )
    return result, states
