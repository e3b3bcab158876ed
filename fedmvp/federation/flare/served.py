"""The server's part of one job: who takes part, the rounds, the sites' counts, the result files."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from torch import Tensor

from fedmvp.clip.backbone import load_backbone
from fedmvp.devices import prepare_device
from fedmvp.errors import BackboneError, ClientFailure
from fedmvp.federation.client import ClientUpdate
from fedmvp.federation.failures import Failure
from fedmvp.federation.flare.events import Events
from fedmvp.federation.flare.layout import Organiser
from fedmvp.federation.flare.outcome import write_results
from fedmvp.federation.flare.settings import read_settings
from fedmvp.federation.plan import describe, load_plan, require_possible
from fedmvp.federation.remote import RemoteBackend
from fedmvp.federation.site_training import train_sites

__all__ = ["ObservedBackend", "Paused", "Served"]

# For the supervisor, which looks twice a second whether a site that fell silent is there again.
_DECISION_S = 2.0
_POLL_S = 0.05


class Paused(Exception):
    """The job ends between two rounds, so that the next job includes sites that came back."""


class Served:
    """A federation, as one job of the server runs it.

    Parameters
    ----------
    organiser : Organiser
    events : Events

    Raises
    ------
    FedMVPError
        When the plan is impossible, or the backbone is not the plan's.
    """

    def __init__(self, organiser: Organiser, events: Events) -> None:
        self.organiser = organiser
        self.events = events
        self.settings = read_settings(organiser)
        self.plan = load_plan(organiser.plan)
        require_possible(self.plan)
        wanted = self.plan.backbone
        backbone = load_backbone(
            organiser.backbone,
            precision=wanted.precision,
            linear=wanted.linear,
            device=prepare_device(),
        )
        self.backbone_sha256 = backbone.spec.tower_sha256
        if self.backbone_sha256 != wanted.sha256:
            raise BackboneError(
                f"is not the plan's CLIP model, {wanted.sha256[:12]}…",
                where=organiser.backbone,
                value=self.backbone_sha256,
                hint="put back the model that `fedmvp federation init` copied",
            )
        self.method = self.plan.create(backbone)

    def run(self, backend: RemoteBackend, present: Sequence[str], heard: Collection[str]) -> None:
        """Train from the newest checkpoint on, have the sites evaluate, write the result files.

        Parameters
        ----------
        present : sequence of str
            Sites that take part in this job.
        heard : collection of str
            Sites that answered the last request; it changes while the job runs.

        Raises
        ------
        Paused
            Between two rounds, when the supervisor asks for it.
        FedMVPError
            When too few sites are left in a round, and for any other error that ends a run.
        """
        out = self._agree(backend, [name for name in self.plan.clients if name in present])
        observed = ObservedBackend(backend, self.organiser.pause, self.events, out, heard)
        asked = [name for name in self.plan.clients if name not in out]
        outcome = train_sites(
            self.plan,
            self.method,
            observed,
            self.organiser.checkpoints,
            head_sums=lambda: backend.head_sums(asked),
        )
        self.events.write("evaluating")
        counts = backend.evaluate(outcome.result.tensors, asked, outcome.since)
        counts.failures.extend(_left_out(name, self.plan.resolved().rounds, out) for name in out)
        write_results(self.organiser, self.plan, outcome.result, counts)
        self.events.write("finished", metrics=counts.metrics())

    def _agree(self, backend: RemoteBackend, present: Sequence[str]) -> dict[str, str]:
        """Return the sites that take no part in this job, each with the reason."""
        out = {name: "is not connected" for name in self.plan.clients if name not in present}
        ours = describe(self.plan, self.backbone_sha256)
        silent, differing = backend.describe(ours, present)
        for name, error in {**silent, **differing}.items():
            self.events.write("refused", site=name, error=error)
            out[name] = f"was refused: {error}" if name in differing else f"is left out: {error}"
        self.events.write("agreed", sites=[name for name in present if name not in out])
        return out


def _left_out(client: str, round_index: int, out: Mapping[str, str]) -> Failure:
    return Failure(client, round_index, f"site {client} {out[client]}", "")


class ObservedBackend:
    """A backend that writes an event for each round and site, and knows the absent sites.

    Parameters
    ----------
    pause : Path
        See `Organiser.pause`.
    out : mapping of str to str
        Absent sites, each with the reason why it is not asked.
    heard : collection of str
        See `Served.run`.
    """

    def __init__(
        self,
        backend: RemoteBackend,
        pause: Path,
        events: Events,
        out: Mapping[str, str],
        heard: Collection[str],
    ) -> None:
        self.backend = backend
        self.pause = pause
        self.events = events
        self.out = out
        self.heard = heard
        self._silent: set[str] = set()
        self._undecided = False

    def run(
        self,
        tensors: Mapping[str, Tensor],
        clients: Sequence[str],
        round_index: int,
        learning_rate: float,
        extra: Mapping[str, Mapping[str, Tensor]] | None = None,
        since: Mapping[str, int] | None = None,
    ) -> Iterator[ClientUpdate | Failure]:
        """Yield each client's update in turn; see `Backend.run`.

        Raises
        ------
        Paused
            When the supervisor asks for it; finished rounds are in the checkpoints.
        """
        if self._paused():
            raise Paused
        self.events.write("round", round=round_index, sites=list(clients))
        asked = [name for name in clients if name not in self.out]
        replies = self.backend.run(tensors, asked, round_index, learning_rate, extra, since)
        for client in clients:
            out = client in self.out
            result = self._without(client, round_index) if out else next(replies)
            self._tell(result, round_index)
            yield result

    def _paused(self) -> bool:
        """Tell whether the supervisor asks for a pause; wait a moment if it well may.

        A site that returned is no part of this job: the next round would wait for it in vain for
        a whole deadline.
        """
        end = time.monotonic() + (_DECISION_S if self._undecided else 0.0)
        self._undecided = False
        while not self.pause.exists() and time.monotonic() < end:
            time.sleep(_POLL_S)
        return self.pause.exists()

    def _without(self, client: str, round_index: int) -> Failure:
        failure = _left_out(client, round_index, self.out)
        if self.backend.federation.on_client_failure != "skip":
            raise ClientFailure(
                failure.error,
                where=f"round {round_index}",
                hint="let the site join, or set federation.on_client_failure: skip",
            )
        return failure

    def _tell(self, result: ClientUpdate | Failure, round_index: int) -> None:
        if isinstance(result, Failure):
            heard = result.client in self.heard
            if not heard and result.client not in {*self.out, *self._silent}:
                self._silent.add(result.client)
                self._undecided = True
            self.events.write(
                "missed", round=round_index, site=result.client, heard=heard, error=result.error
            )
            return
        self._silent.discard(result.client)
        self.events.write(
            "update",
            round=round_index,
            site=result.client,
            images=result.images,
            loss=result.metrics.get("loss"),
        )
