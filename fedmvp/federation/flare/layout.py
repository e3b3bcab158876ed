"""Where things are in the organiser's folder and in a site's start-up kit."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from fedmvp.errors import ConfigError
from fedmvp.files import read_json

__all__ = ["Kit", "Organiser", "organisation"]

_FEDERATION = "FEDMVP_FEDERATION"
_KITS = "FEDMVP_KITS"


def organisation(site: str) -> str:
    """Return the organisation FLARE is given for a site; FLARE allows no hyphen in it."""
    return site.replace("-", "_")


@dataclass(frozen=True)
class Organiser:
    """The folder of ``fedmvp federation init``.

    Parameters
    ----------
    root : Path
    """

    root: Path

    @property
    def settings(self) -> Path:
        """The server's address and the time limits."""
        return self.root / "federation.yaml"

    @property
    def plan(self) -> Path:
        """What is trained: the same file as in every kit."""
        return self.root / "plan.json"

    @property
    def backbone(self) -> Path:
        """The frozen CLIP."""
        return self.root / "backbone"

    @property
    def authority(self) -> Path:
        """The CA with its private key; to be kept offline."""
        return self.root / "ca"

    @property
    def server(self) -> Path:
        """The server's kit and working folder."""
        return self.root / "server"

    @property
    def admin(self) -> Path:
        """The kit of the supervisor, the only user who may submit jobs."""
        return self.root / "organiser"

    @property
    def kits(self) -> Path:
        """A folder for each site, to be handed to it."""
        return self.root / "kits"

    @property
    def run(self) -> Path:
        """Checkpoints, jobs and events of the run."""
        return self.root / "run"

    @property
    def checkpoints(self) -> Path:
        """The round loop's checkpoints."""
        return self.run / "checkpoints"

    @property
    def events(self) -> Path:
        """The events, one JSON line each."""
        return self.run / "events.jsonl"

    @property
    def pause(self) -> Path:
        """While this file exists, the job pauses before its next round."""
        return self.run / "pause"

    @property
    def results(self) -> Path:
        """The result files."""
        return self.root / "results"

    @classmethod
    def open(cls, root: Path) -> Organiser:
        """Return the folder of an existing federation.

        Raises
        ------
        ConfigError
            When it is not one.
        """
        found = cls(root.absolute())
        if not found.settings.is_file():
            raise ConfigError(
                "not a federation's folder: no federation.yaml",
                where=root,
                hint="make one with `fedmvp federation init DIR --host NAME --site NAME …`",
            )
        return found

    def variables(self) -> dict[str, str]:
        """Return the environment variables by which the server's processes find this folder."""
        return {_FEDERATION: str(self.root)}

    @classmethod
    def of_process(cls) -> Organiser:
        """Return the folder to which this process, a job of the server, belongs."""
        return cls.open(Path(os.environ.get(_FEDERATION, "")))


@dataclass(frozen=True)
class Kit:
    """The start-up kit of one site.

    Parameters
    ----------
    root : Path
    """

    root: Path

    @property
    def startup(self) -> Path:
        """Certificate, key, the CA's certificate, and the server's address."""
        return self.root / "startup"

    @property
    def local(self) -> Path:
        """The site's own policy: what others may do here."""
        return self.root / "local"

    @property
    def site(self) -> Path:
        """The site's settings, which stay at the site."""
        return self.root / "site.yaml"

    @property
    def plan(self) -> Path:
        """What is trained, as the site agreed to it."""
        return self.root / "plan.json"

    @property
    def backbone(self) -> Path:
        """The frozen CLIP, unless site.yaml names another folder."""
        return self.root / "backbone"

    @property
    def state(self) -> Path:
        """What the site keeps from round to round."""
        return self.root / "state"

    @property
    def log(self) -> Path:
        """The site's own log: errors with their paths and texts; it stays at the site."""
        return self.root / "site.log"

    @property
    def name(self) -> str:
        """The site's name, as in its certificate."""
        return str(read_json(self.startup / "fed_client.json")["client"]["fqsn"])

    @classmethod
    def open(cls, root: Path) -> Kit:
        """Return the kit in a folder.

        Raises
        ------
        ConfigError
            When the folder is not a complete kit.
        """
        kit = cls(root.absolute())
        if not (kit.startup / "fed_client.json").is_file():
            raise ConfigError(
                "not a site's kit: no startup/fed_client.json",
                where=root,
                hint="unpack the kit that the organiser made with `fedmvp federation init`",
            )
        return kit

    @classmethod
    def of_process(cls, workspace: Path, name: str) -> Kit:
        """Return the kit to which this process, a site's job, belongs.

        Parameters
        ----------
        workspace : Path
            FLARE's workspace: the kit itself, except in the simulator, which makes a workspace for
            each site; there ``FEDMVP_KITS`` names the folder of the kits.
        """
        kits = os.environ.get(_KITS)
        return cls.open(Path(kits) / name if kits else workspace)
