"""What the events tell: the round, who answered and who did not, and how the last job ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedmvp.federation.flare.events import read_events

__all__ = ["Progress", "SiteProgress"]


@dataclass
class SiteProgress:
    """One site, as the server sees it.

    Attributes
    ----------
    state : str
        ``waiting``, ``training``, ``answered``, ``failed`` (its answer was not usable), ``silent``
        or ``refused``.
    round : int or None
        Of its last update, counted from 0.
    loss : float or None
    images : int or None
    silent : bool
        Whether it did not answer when it was last asked; True until its next answer.
    missed : int
        Number of rounds without its update.
    note : str
        Reason for the last of these.
    """

    state: str = "waiting"
    round: int | None = None
    loss: float | None = None
    images: int | None = None
    silent: bool = False
    missed: int = 0
    note: str = ""


@dataclass
class Progress:
    """The run so far, from its events.

    Attributes
    ----------
    sites : dict of str to SiteProgress
    round : int or None
        The present one, counted from 0.
    jobs : int
        Number of jobs submitted so far.
    ending : str
        How the last job ended, as it reported: ``finished``, ``paused``, ``stopped``, or empty
        when it reported nothing.
    error : str
        The error of a job that stopped.
    kind : str
        Class name of that error.
    over : str
        The last job whose sites were told that it had ended.
    """

    sites: dict[str, SiteProgress]
    round: int | None = None
    jobs: int = 0
    ending: str = ""
    error: str = ""
    kind: str = ""
    over: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    position: int = 0

    @classmethod
    def of(cls, sites: tuple[str, ...]) -> Progress:
        """Return the progress of a run that has not begun."""
        return cls({site: SiteProgress() for site in sites})

    def read(self, path: Path) -> bool:
        """Read new events; tell whether there were any."""
        before = self.position
        for self.position, event in read_events(path, before):
            take = _TAKE.get(event["event"])
            if take is not None:
                take(self, event)
        return self.position != before

    def as_dict(self) -> dict[str, Any]:
        """Return the progress as ``--json`` prints it."""
        return {
            "round": self.round,
            "jobs": self.jobs,
            "ending": self.ending or None,
            "error": self.error or None,
            "metrics": self.metrics,
            "sites": {name: vars(site) for name, site in self.sites.items()},
        }


def _job(run: Progress, event: Mapping[str, Any]) -> None:
    run.jobs += 1
    run.ending = run.error = run.kind = ""


def _round(run: Progress, event: Mapping[str, Any]) -> None:
    run.round = event["round"]
    for name in event["sites"]:
        run.sites[name].state = "training"


def _update(run: Progress, event: Mapping[str, Any]) -> None:
    site = run.sites[event["site"]]
    site.state, site.note, site.silent = "answered", "", False
    site.round, site.loss, site.images = event["round"], event["loss"], event["images"]


def _missed(run: Progress, event: Mapping[str, Any]) -> None:
    site = run.sites[event["site"]]
    site.silent = not event["heard"]
    site.state = "silent" if site.silent else "failed"
    site.note, site.missed = event["error"], site.missed + 1


def _refused(run: Progress, event: Mapping[str, Any]) -> None:
    site = run.sites[event["site"]]
    site.state, site.note = "refused", event["error"]


def _ended(run: Progress, event: Mapping[str, Any]) -> None:
    run.ending = event["event"]
    run.error, run.kind = str(event.get("error", "")), str(event.get("kind", ""))
    run.metrics = event.get("metrics", run.metrics)


def _over(run: Progress, event: Mapping[str, Any]) -> None:
    run.over = event["job"]


_TAKE = {
    "job": _job,
    "round": _round,
    "update": _update,
    "missed": _missed,
    "refused": _refused,
    "finished": _ended,
    "paused": _ended,
    "aborted": _ended,
    "stopped": _ended,
    "over": _over,
}
