"""The same federation in this process, without FLARE: what the machines must come to."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from fedmvp.clip.backbone import load_backbone
from fedmvp.federation.backend import InProcessBackend
from fedmvp.federation.client import ClientUpdate
from fedmvp.federation.failures import Failure
from fedmvp.federation.flare.layout import Organiser
from fedmvp.federation.flare.outcome import write_results
from fedmvp.federation.head_start import HeadSums, client_sums
from fedmvp.federation.site import Site
from fedmvp.federation.site_config import load_site_config
from fedmvp.federation.site_evaluation import SiteCounts
from fedmvp.federation.site_training import train_sites
from fedmvp.federation.states import MemoryStates
from tests.machines.machines import Machines


@dataclass
class Without:
    """A backend in which some clients miss some rounds."""

    backend: InProcessBackend
    missed: Collection[tuple[int, str]]

    def run(
        self,
        tensors: Mapping[str, Tensor],
        clients: Sequence[str],
        round_index: int,
        learning_rate: float,
        extra: Mapping[str, Mapping[str, Tensor]] | None = None,
        since: Mapping[str, int] | None = None,
    ) -> Iterator[ClientUpdate | Failure]:
        for client in clients:
            if (round_index, client) in self.missed:
                yield Failure(client, round_index, "missed", "")
                continue
            yield from self.backend.run(tensors, [client], round_index, learning_rate, extra, since)


@dataclass(frozen=True)
class Expected:
    """What the run leaves."""

    weights: bytes
    rounds: bytes
    personal: dict[str, dict[str, Tensor]]


def in_process(
    machines: Machines, scratch: Path, missed: Collection[tuple[int, str]] = ()
) -> Expected:
    """Train the machines' plan here; `missed` names rounds and the sites that were left out."""
    plan, organiser = machines.plan, machines.organiser
    backbone = load_backbone(
        organiser.backbone,
        precision="fp32",
        linear=plan.backbone.linear,
        device=torch.device("cpu"),
    )
    sites = {
        site: Site.open(load_site_config(machines.kit(site).site), plan, scratch / site)
        for site in machines.sites
    }
    method = plan.create(backbone)
    states = MemoryStates(method.first_phase)
    backend = InProcessBackend(
        method,
        lambda client: sites[client].data.client_data(),
        plan.clients,
        plan.resolved(),
        plan.seed,
        states,
    )
    initial = plan.create(backbone)

    def head_sums() -> HeadSums:
        sums = HeadSums()
        for site in sites.values():
            sums += client_sums(initial, site.data.client_data())
        return sums

    without = Without(backend, missed)
    run = train_sites(plan, initial, without, scratch / "rounds", head_sums=head_sums)
    made = Organiser(scratch / "made")
    write_results(made, plan, run.result, SiteCounts())
    return Expected(
        (made.results / "weights.safetensors").read_bytes(),
        (made.results / "rounds.csv").read_bytes(),
        {site: states.before(site, plan.resolved().rounds).personal for site in machines.sites},
    )
