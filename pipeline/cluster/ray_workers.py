"""Workers on a Ray cluster: an actor for each place, wherever Ray finds the resources for it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedmvp.errors import FedMVPError
from pipeline.cluster.host import host_class
from pipeline.cluster.local import LocalWorkers
from pipeline.cluster.outcome import Outcome
from pipeline.cluster.places import Place
from pipeline.cluster.travel import Remote
from pipeline.cluster.worker import Order

__all__ = ["RayWorkers", "Site"]

_POLL_S = 1.0
_PATIENCE_S = 120.0
_LOG = ".fedmvp/run/worker-{}.log"


@dataclass(frozen=True)
class Site:
    """Where and how workers of a cluster work.

    Parameters
    ----------
    folder : str
        The checkout, or what each place's own checkout begins with.
    source : dict of str to bytes, optional
        The source by path, where the machines do not have this checkout.
    resources : dict
        What a place asks Ray for.
    """

    folder: str
    source: dict[str, bytes] | None
    resources: dict[str, float]


@dataclass
class _Seat:
    """A place's actor, its call that is not answered yet, and the stage it runs."""

    place: Place
    actor: Any
    settled: bool = False
    call: Any = None
    stage: str = ""
    log: Path = Path()


class RayWorkers:
    """The actors of a cluster; one that is lost with its machine is requested again.

    Parameters
    ----------
    here : LocalWorkers, optional
        For the stages that cannot travel, where the machines do not share this disk.
    remote : Remote, optional
        Through which inputs and outputs travel then.
    needs : mapping of str to sequence of str
        What each stage reads, all of it.
    """

    def __init__(
        self,
        places: list[Place],
        site: Site,
        *,
        here: LocalWorkers | None = None,
        remote: Remote | None = None,
        needs: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        import ray

        self._ray, self._site = ray, site
        self._here, self._remote, self._needs = here, remote, dict(needs or {})
        self._source = None if site.source is None else ray.put(site.source)
        self._last_s = time.monotonic()
        self._seats = {place.name: self._sit(place) for place in places}

    @property
    def places(self) -> list[Place]:
        """The places that are there; a lost one is not, until Ray has found another for it."""
        own = [] if self._here is None else self._here.places
        return [*own, *(seat.place for seat in self._seats.values() if seat.settled)]

    def hoping(self) -> bool:
        """Return whether places may still come.

        Raises
        ------
        FedMVPError
            When there has been none for minutes.
        """
        if any(seat.settled for seat in self._seats.values()):
            self._last_s = time.monotonic()
        if time.monotonic() - self._last_s > _PATIENCE_S:
            raise FedMVPError(
                f"no machine has room for a stage, for {_PATIENCE_S:.0f} s",
                where="--address",
                value=self._site.resources,
                hint="`ray status` says what there is; the same command goes on when there is more",
            )
        return not all(seat.settled for seat in self._seats.values())

    def start(self, place: Place, stage: str, log: Path) -> None:
        """Start a stage on a free place."""
        seat = self._seats.get(place.name)
        if seat is None:
            assert self._here is not None
            self._here.start(place, stage, log)
            return
        transfer = None if self._remote is None else self._remote.transfer(self._needs[stage])
        seat.stage, seat.log = stage, log
        order = Order(stage=stage, log=self._log(seat), transfer=transfer, fresh=True)
        seat.actor.start.remote(order.model_dump_json())
        seat.call = seat.actor.poll.remote(self._log(seat), _POLL_S)

    def wait(self, seconds: float) -> list[tuple[Place, Outcome]]:
        """Return what has ended, waiting at most so long for the first of it."""
        seats = [seat for seat in self._seats.values() if seat.call is not None]
        ended = [] if self._here is None else self._here.wait(0.0 if seats else seconds)
        if not seats:
            return ended
        calls = [seat.call for seat in seats]
        ready, _ = self._ray.wait(calls, num_returns=1, timeout=seconds)
        if ready:  # and whatever else is
            ready, _ = self._ray.wait(calls, num_returns=len(calls), timeout=0)
        for seat in seats:
            if seat.call in ready and (outcome := self._answer(seat)) is not None:
                ended.append((seat.place, outcome))
        return ended

    def stop(self, number: int) -> None:
        """Send a signal to the stages that run."""
        if self._here is not None:
            self._here.stop(number)
        for seat in self._seats.values():
            if seat.stage:
                seat.actor.signal.remote(number)

    def close(self) -> None:
        """Leave the cluster; its actors end with this process's job."""
        if self._here is not None:
            self._here.close()
        self._ray.shutdown()

    def _sit(self, place: Place) -> _Seat:
        """Ask Ray for an actor; its call to settle is answered once it has found room."""
        options = {"max_restarts": 0, "max_task_retries": 0, **self._site.resources}
        actor = self._ray.remote(host_class()).options(**options).remote()
        folder = self._site.folder
        if self._site.source is not None:
            folder = f"{folder}/{place.name.replace(' ', '-')}"
        settle = actor.settle.remote(folder, self._source, place.environment)
        return _Seat(place, actor, call=settle)

    def _answer(self, seat: _Seat) -> Outcome | None:
        """Take what a seat's call returned; return an outcome if its stage has ended."""
        from ray.exceptions import RayError

        call, seat.call = seat.call, None
        try:
            value = self._ray.get(call)
        except RayError as error:
            lost = seat.settled
            if not lost and not _is_death(error):
                raise FedMVPError(
                    f"a worker cannot start ({error})",
                    where=seat.place.name,
                    hint="every machine needs room for a checkout, and this environment",
                ) from error
            self._seats[seat.place.name] = self._sit(seat.place)
            return Outcome(kind="died", message="its machine was lost") if seat.stage else None
        if not seat.settled:
            seat.settled = True
            return None
        logged, answer = value
        with seat.log.open("ab") as file:
            file.write(logged)
        if answer is None:
            seat.call = seat.actor.poll.remote(self._log(seat), _POLL_S)
            return None
        stage, seat.stage = seat.stage, ""
        if not answer.endswith(b"\n"):
            return Outcome(kind="died", message="its worker was lost")
        outcome = Outcome.model_validate_json(answer)
        if outcome.locked is not None and self._remote is not None:
            self._remote.bring_back(stage, outcome.locked)
        return outcome

    def _log(self, seat: _Seat) -> str:
        return _LOG.format(seat.place.name.replace(" ", "-"))


def _is_death(error: Exception) -> bool:
    return type(error).__name__ in ("ActorDiedError", "ActorUnavailableError", "RayActorError")
