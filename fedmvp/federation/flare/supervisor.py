"""``serve``: keeps a server and a job running until the result files are there.

FLARE never resumes a job: neither one whose server was killed nor one that a site's process brought
down; and a site that comes back does not get into a running one. A new job, which resumes from our
checkpoint, solves all three.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from fedmvp.errors import ClientFailure, ConfigError
from fedmvp.federation.flare.events import Events
from fedmvp.federation.flare.job import write_job
from fedmvp.federation.flare.layout import Organiser
from fedmvp.federation.flare.outcome import is_whole
from fedmvp.federation.flare.process import Process
from fedmvp.federation.flare.progress import Progress
from fedmvp.federation.flare.serving import start_server
from fedmvp.federation.flare.session import Session, Unreachable, open_session
from fedmvp.federation.flare.settings import FederationSettings
from fedmvp.federation.plan import Plan
from fedmvp.interruption import raise_if_stopped

__all__ = ["Supervisor"]

_POLL_S = 0.5
_PARTING_S = 1.0  # for the word that a job is over to reach the sites
_SERVER_S = 180.0
_TRIES = 5
# Errors with which every further job would end, too. After any other, the next may succeed.
_LASTING = ("ConfigError", "BackboneError", "CheckpointError", "DataError")


@dataclass
class Supervisor:
    """Runs one federation until its results are complete.

    Parameters
    ----------
    organiser : Organiser
    plan : Plan
    settings : FederationSettings
    show : callable
        Called with the progress and the connected sites, twice a second.
    server : Process, optional
        A server that was just started and may not answer yet; it is stopped in any case.
    """

    organiser: Organiser
    plan: Plan
    settings: FederationSettings
    show: Callable[[Progress, list[str]], None]
    server: Process | None = None
    session: Session | None = None
    progress: Progress = field(init=False)

    def __post_init__(self) -> None:
        self.progress = Progress.of(self.plan.clients)
        self.events = Events(self.organiser.events)
        self.minimum = self.plan.resolved().min_clients
        self.excused: set[str] = set()
        self._starting = self.server is not None

    def run(self) -> None:
        """Return when the result files are there.

        Raises
        ------
        FedMVPError
            When too few sites connect, or jobs end repeatedly without progress.
        """
        try:
            tries, furthest = 0, -1
            while not is_whole(self.organiser, self.plan):
                self._serve()
                self._wait_for_sites(self._patience())
                self._follow(self._submit())
                self.progress.read(self.organiser.events)
                reached = -1 if self.progress.round is None else self.progress.round
                tries = 0 if reached > furthest or self.progress.ending == "paused" else tries + 1
                furthest = max(furthest, reached)
                if self.progress.ending in ("finished", "stopped"):
                    time.sleep(_PARTING_S)
                self._judge(tries)
        finally:
            self.close()

    def close(self) -> None:
        """Close the session and stop the server."""
        if self.session is not None:
            self.session.close()
        if self.server is not None:
            self.server.stop()
        self.session = self.server = None

    def _judge(self, tries: int) -> None:
        """Raise the last job's error where another job would end in the same way."""
        run = self.progress
        if run.ending == "finished":
            return
        if run.kind in _LASTING or tries >= _TRIES:
            raise ClientFailure(
                run.error or "FLARE ended the job without giving a reason",
                where=f"round {run.round}" if run.round is not None else "before the first round",
                hint=f"see {self.organiser.events} and {self.organiser.server}; "
                "run this again to continue: finished rounds are kept",
            )

    def _serve(self) -> None:
        """Make sure that a server answers; start it if necessary."""
        if self._starting:
            self._starting = False
        elif self.server is not None and self.server.running and self._reachable():
            return
        else:
            self.close()
            self.server = start_server(self.organiser)
        assert self.server is not None
        end = time.monotonic() + _SERVER_S
        while not self._reachable():
            self._pause()
            if not self.server.running or time.monotonic() > end:
                raise ConfigError(
                    "the server did not start",
                    where=self.organiser.run / "server.log",
                    hint=f"see its last lines; is port {self.settings.port} free?",
                )

    def _reachable(self) -> bool:
        try:
            if self.session is None:
                self.session = open_session(self.organiser)
            self.session.sites()
        except Unreachable:
            if self.session is not None:
                self.session.close()
            self.session = None
        return self.session is not None

    def _connected(self) -> list[str]:
        """Return the agreed sites that are connected."""
        assert self.session is not None
        present = set(self.session.sites())
        return [name for name in self.plan.clients if name in present]

    def _patience(self) -> float:
        """Return for how many seconds to wait for the agreed sites."""
        settings = self.settings
        return settings.rejoin_s if self.progress.round is not None else settings.wait_s

    def _wait_for_sites(self, wait_s: float) -> None:
        """Wait for all agreed sites; after `wait_s`, go on if enough of them are connected."""
        end = time.monotonic() + wait_s
        present: list[str] = []
        while len(present) < len(self.plan.clients) and time.monotonic() < end:
            try:
                present = self._connected()
            except Unreachable:
                self._serve()
            self._pause(present)
        missing = [name for name in self.plan.clients if name not in present]
        self.events.write("waited", present=present, missing=missing)
        if len(present) < self.minimum:
            raise ClientFailure(
                f"{len(present)} of {len(self.plan.clients)} sites connected within "
                f"{wait_s:g} s, {self.minimum} are needed; missing: "
                f"{', '.join(missing)}",
                where="federation.yaml: wait_s",
                hint="let these sites run `fedmvp site join KIT`, then run this again",
            )

    def _submit(self) -> str:
        assert self.session is not None
        self.organiser.pause.unlink(missing_ok=True)
        job = self.session.submit(write_job(self.organiser.run / "job"))
        self.events.write("job", job=job)
        return job

    def _follow(self, job: str) -> None:
        """Return when the job is over: because FLARE says so, or because the server ended."""
        heard = time.monotonic()
        # A round's deadline, and as much again to start: a job silent for longer is dead.
        patience = 2 * self.settings.round_deadline_s + _SERVER_S
        while self._runs(job):
            if self.progress.read(self.organiser.events):
                heard = time.monotonic()
            if time.monotonic() - heard > patience:
                self.events.write("stale", job=job)
                if self.session is not None:
                    self.session.abort(job)
                return
            self._pause()

    def _runs(self, job: str) -> bool:
        """Tell whether the job may still make progress, as it may while the server is slow."""
        if self.server is None or not self.server.running or self.progress.over == job:
            return False
        if not self._reachable():
            return True
        assert self.session is not None
        try:
            self._let_in(self._connected())
            return not self.session.status(job).startswith("FINISHED")
        except Unreachable:
            return True

    def _let_in(self, present: list[str]) -> None:
        """Ask the job to pause before the next round when a silent site is connected again.

        Only once for each time a site falls silent: one that is connected but too slow would be too
        slow again.
        """
        for name, site in self.progress.sites.items():
            if not site.silent:
                self.excused.discard(name)
            elif name in present and name not in self.excused:
                self.excused.add(name)
                self.organiser.pause.touch()
                self.events.write("returned", site=name)

    def _pause(self, present: list[str] | None = None) -> None:
        self.progress.read(self.organiser.events)
        self.show(self.progress, present or [])
        raise_if_stopped()
        time.sleep(_POLL_S)
