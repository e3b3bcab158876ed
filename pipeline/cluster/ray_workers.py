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

__all__ = ["RayWorkers", "WorkerSetup"]

_POLL_S = 1.0
_PATIENCE_S = 120.0
_LOG = ".fedmvp/run/worker-{}.log"


@dataclass(frozen=True)
class WorkerSetup:
    """Where and with what the workers of a cluster work.

    Parameters
    ----------
    folder : str
        Path of the checkout, or the beginning of the path of each place's own checkout.
    source : dict of str to bytes, optional
        Source files by path, if the machines do not have this checkout.
    resources : dict
        Resources that a place requests from Ray.
    """

    folder: str
    source: dict[str, bytes] | None
    resources: dict[str, float]


@dataclass
class _PlaceActor:
    """A place's actor, its unanswered call, and the stage it runs."""

    place: Place
    handle: Any
    settled: bool = False
    call: Any = None
    stage: str = ""
    log: Path = Path()


class RayWorkers:
    """The actors of a cluster; one that is lost with its machine is requested again.

    Parameters
    ----------
    here : LocalWorkers, optional
        Workers for stages that must run on this machine, if the others do not share its disk.
    remote : Remote, optional
        DVC remote through which inputs and outputs are sent in that case.
    needs : mapping of str to sequence of str
        All stages whose outputs a stage reads, by stage.
    """

    def __init__(
        self,
        places: list[Place],
        setup: WorkerSetup,
        *,
        here: LocalWorkers | None = None,
        remote: Remote | None = None,
        needs: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        import ray

        self._ray, self._setup = ray, setup
        self._here, self._remote, self._needs = here, remote, dict(needs or {})
        self._source = None if setup.source is None else ray.put(setup.source)
        self._last_s = time.monotonic()
        self._actors = {place.name: self._request_actor(place) for place in places}

    @property
    def places(self) -> list[Place]:
        """The available places; a lost one is missing until Ray has found another for it."""
        own = [] if self._here is None else self._here.places
        return [*own, *(actor.place for actor in self._actors.values() if actor.settled)]

    def may_get_places(self) -> bool:
        """Return whether places may still come.

        Raises
        ------
        FedMVPError
            When there has been no place for minutes.
        """
        if any(actor.settled for actor in self._actors.values()):
            self._last_s = time.monotonic()
        if time.monotonic() - self._last_s > _PATIENCE_S:
            raise FedMVPError(
                f"no machine has room for a stage, for {_PATIENCE_S:.0f} s",
                where="--address",
                value=self._setup.resources,
                hint="`ray status` shows the resources; when they suffice, run the command again",
            )
        return not all(actor.settled for actor in self._actors.values())

    def start(self, place: Place, stage: str, log: Path) -> None:
        """Start a stage on a free place."""
        actor = self._actors.get(place.name)
        if actor is None:
            assert self._here is not None
            self._here.start(place, stage, log)
            return
        transfer = None if self._remote is None else self._remote.transfer(self._needs[stage])
        actor.stage, actor.log = stage, log
        order = Order(stage=stage, log=self._log(actor), transfer=transfer, fresh=True)
        actor.handle.start.remote(order.model_dump_json())
        actor.call = actor.handle.poll.remote(self._log(actor), _POLL_S)

    def wait(self, seconds: float) -> list[tuple[Place, Outcome]]:
        """Return the attempts that have ended, waiting at most `seconds` for the first."""
        actors = [actor for actor in self._actors.values() if actor.call is not None]
        ended = [] if self._here is None else self._here.wait(0.0 if actors else seconds)
        if not actors:
            return ended
        calls = [actor.call for actor in actors]
        ready, _ = self._ray.wait(calls, num_returns=1, timeout=seconds)
        if ready:  # collect all others that are ready, too
            ready, _ = self._ray.wait(calls, num_returns=len(calls), timeout=0)
        for actor in actors:
            if actor.call in ready and (outcome := self._answer(actor)) is not None:
                ended.append((actor.place, outcome))
        return ended

    def stop(self, number: int) -> None:
        """Send a signal to the running stages."""
        if self._here is not None:
            self._here.stop(number)
        for actor in self._actors.values():
            if actor.stage:
                actor.handle.signal.remote(number)

    def close(self) -> None:
        """Leave the cluster; its actors end with this process's job."""
        if self._here is not None:
            self._here.close()
        self._ray.shutdown()

    def _request_actor(self, place: Place) -> _PlaceActor:
        """Ask Ray for an actor; its first call is answered once Ray has found room for it."""
        options = {"max_restarts": 0, "max_task_retries": 0, **self._setup.resources}
        handle = self._ray.remote(host_class()).options(**options).remote()
        folder = self._setup.folder
        if self._setup.source is not None:
            folder = f"{folder}/{place.name.replace(' ', '-')}"
        settle = handle.settle.remote(folder, self._source, place.environment)
        return _PlaceActor(place, handle, call=settle)

    def _answer(self, actor: _PlaceActor) -> Outcome | None:
        """Process the result of an actor's call; return an outcome if its stage has ended."""
        from ray.exceptions import RayError

        call, actor.call = actor.call, None
        try:
            value = self._ray.get(call)
        except RayError as error:
            lost = actor.settled
            if not lost and not _is_death(error):
                raise FedMVPError(
                    f"a worker cannot start ({error})",
                    where=actor.place.name,
                    hint="every machine needs room for a checkout, and this environment",
                ) from error
            self._actors[actor.place.name] = self._request_actor(actor.place)
            return Outcome(kind="died", message="its machine was lost") if actor.stage else None
        if not actor.settled:
            actor.settled = True
            return None
        logged, answer = value
        with actor.log.open("ab") as file:
            file.write(logged)
        if answer is None:
            actor.call = actor.handle.poll.remote(self._log(actor), _POLL_S)
            return None
        stage, actor.stage = actor.stage, ""
        if not answer.endswith(b"\n"):
            return Outcome(kind="died", message="its worker was lost")
        outcome = Outcome.model_validate_json(answer)
        if outcome.locked is not None and self._remote is not None:
            self._remote.bring_back(stage, outcome.locked)
        return outcome

    def _log(self, actor: _PlaceActor) -> str:
        return _LOG.format(actor.place.name.replace(" ", "-"))


def _is_death(error: Exception) -> bool:
    return type(error).__name__ in ("ActorDiedError", "ActorUnavailableError", "RayActorError")
