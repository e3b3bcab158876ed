"""A server and sites as processes on loopback, and what they should come to."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from typer.testing import CliRunner

from fedmvp.cli import app
from fedmvp.config import load_params
from fedmvp.federation.flare.events import read_events
from fedmvp.federation.flare.kit import create_federation
from fedmvp.federation.flare.layout import Kit, Organiser
from fedmvp.federation.flare.settings import FederationSettings, new_plan, write_settings
from fedmvp.federation.flare.site_setup import write_site
from fedmvp.federation.plan import load_plan
from fedmvp.prediction.backbones import BackboneChoice, prepare_backbone
from tests.paths import ROOT
from tests.ports import free_port

SITES = ("a", "b", "c")
CANARIES = ("zzcanary", "secretfolder", "secretfile", "zztext")
FAULTS = Path(__file__).parent / "faults"


def make_images(folder: Path, site: str) -> None:
    """Write a site's own images: a colour a class, and noise."""
    draw = np.random.default_rng(SITES.index(site))
    for number in range(3):
        for part, count in (("train", 3), ("test", 4)):
            for index in range(count):
                pixels = draw.integers(0, 120, (64, 64, 3)) + np.array([50 * number, 40, 20])
                path = folder / part / f"zzcanary{site}{number}" / f"secretfile{index}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)


@dataclass
class Machines:
    """One federation: its folders and its running processes."""

    root: Path
    method: str = "promptfl"
    rounds: int = 3
    entries: Mapping[str, Any] = field(default_factory=dict)
    deadline_s: float = 240.0
    sites: tuple[str, ...] = SITES
    many_labels: bool = False
    by_command: bool = False
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.by_command:
            self._init_by_command()
        else:
            self._init()

    def _init(self) -> None:
        params = load_params(ROOT / "fedmvp/profiles/default.yaml")
        backbone = prepare_backbone(BackboneChoice("pictoclip"))
        spec = json.loads((backbone / "spec.json").read_text(encoding="utf-8"))
        settings = FederationSettings(
            authority="test",
            host="localhost",
            port=free_port(),
            wait_s=180,
            rejoin_s=120,
            round_deadline_s=self.deadline_s,
        )
        plan = new_plan(
            params,
            self.method,
            name="run",
            sites=self.sites,
            seed=1,
            backbone_sha256=spec["tower_sha256"],
            rounds=self.rounds,
            minimum_sites=1,
            task="multi" if self.many_labels else "single",
        )
        changed = plan.federation.model_copy(update=dict(self.entries))
        self.plan = plan.model_copy(update={"federation": changed})
        self.organiser = create_federation(self.root / "fed", settings, self.plan, backbone)
        write_settings(self.organiser.settings, settings)
        for site in self.sites:
            images, attributes, labels = self.own(site)
            write_site(
                self.kit(site),
                images,
                attributes,
                BackboneChoice("pictoclip"),
                template="a {}.",
                known="all",
                labels=labels,
            )

    def _init_by_command(self) -> None:
        """Make the folder and the kits as a user does."""
        assert not self.entries, "the commands take none"
        words = ["--host", "localhost", "--port", str(free_port()), "--method", self.method]
        words += [
            "--rounds",
            str(self.rounds),
            *(w for site in self.sites for w in ("--site", site)),
        ]
        words += ["--task", "multi"] if self.many_labels else []
        command("federation", "init", self.root / "fed", *words)
        self.organiser = Organiser.open(self.root / "fed")
        self.plan = load_plan(self.organiser.plan)
        for site in self.sites:
            images, attributes, labels = self.own(site)
            own = ["--images", images, "--attributes", attributes]
            own += [] if labels is None else ["--labels", labels]
            command("site", "init", self.organiser.kits / site, *own)

    def own(self, site: str) -> tuple[Path, Path, Path | None]:
        """Make a site's images, its texts and, if its images show many classes, their table."""
        images = self.root / site / "secretfolder"
        make_images(images, site)
        texts = {f"zzcanary{site}{number}": [f"zztext {number}"] for number in range(3)}
        attributes = self.root / site / "texts.json"
        attributes.write_text(json.dumps(texts), encoding="utf-8")
        return images, attributes, self.labels(site, images) if self.many_labels else None

    def labels(self, site: str, images: Path) -> Path:
        """Write a table in which each third image shows a second class as well."""
        rows = ["image,classes"]
        for number, path in enumerate(sorted(images.rglob("*.png"))):
            shown = {path.parent.name, *([f"zzcanary{site}0"] if number % 3 == 0 else [])}
            rows.append(f"{path.relative_to(images).as_posix()},{';'.join(sorted(shown))}")
        table = self.root / site / "labels.csv"
        table.write_text("\n".join(rows), encoding="utf-8")
        return table

    def kit(self, site: str) -> Kit:
        return Kit.open(self.organiser.kits / site)

    def start(self, *words: str | Path, **variables: str) -> subprocess.Popen[bytes]:
        """Start a command of ours."""
        paths = [str(ROOT)] if not variables else [str(FAULTS), str(ROOT)]
        environment = {
            **os.environ,
            **bytecode(),
            "PYTHONPATH": os.pathsep.join(paths),
            "OMP_NUM_THREADS": "1",
        }
        code = "from fedmvp.cli import app; app()"
        name = "-".join(str(word) for word in words[:2])
        with (self.root / f"{name}.out").open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-c", code, *map(str, words)],
                env={**environment, **variables},
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
            )
        self.running.append(process)
        return process

    def join(self, site: str, **variables: str) -> subprocess.Popen[bytes]:
        return self.start("site", "join", self.organiser.kits / site, **variables)

    def serve(self) -> subprocess.Popen[bytes]:
        return self.start("federation", "serve", self.organiser.root)

    def events(self, kind: str | None = None) -> list[dict[str, Any]]:
        every = [event for _, event in read_events(self.organiser.events)]
        return [event for event in every if kind in (None, event["event"])]

    def wait(self, ready: Callable[[], bool], seconds: float = 240.0) -> None:
        end = time.monotonic() + seconds
        while not ready():
            assert time.monotonic() < end, self.events()[-5:]
            time.sleep(0.05)

    def wait_round(self, index: int) -> None:
        self.wait(lambda: any(event["round"] >= index for event in self.events("round")))

    def missed(self) -> set[tuple[int, str]]:
        """Return which site's update of which round is not in the result, as the result says."""
        failures = json.loads((self.organiser.results / "failures.json").read_text("utf-8"))
        return {(each["round_index"], each["client"]) for each in failures}

    def stop(self) -> None:
        for process in self.running:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        for process in self.running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30)
            kill_tree(process.pid)
            process.wait()
        self.running.clear()


def command(*words: str | Path) -> None:
    """Run a command of ours in this process; it must succeed."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output


def bytecode() -> dict[str, str]:
    """Return variables with which processes compile each module once, not once each.

    That is Python's own way, which an environment can forbid; a federation starts dozens of them.
    The empty string allows it again; the bytecode lies in the tests' own cache.
    """
    if not sys.dont_write_bytecode:
        return {}
    kept = Path(os.environ["FEDMVP_CACHE"]) / "bytecode"
    return {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(kept)}


@contextlib.contextmanager
def running(machines: Machines) -> Iterator[Machines]:
    """End all processes in the end."""
    try:
        yield machines
    finally:
        machines.stop()


def descendants(pid: int) -> list[int]:
    """Return a process and those it started, itself first."""
    import psutil

    try:
        process = psutil.Process(pid)
        return [pid, *(child.pid for child in process.children(recursive=True))]
    except psutil.NoSuchProcess:
        return []


def kill_tree(pid: int) -> None:
    """kill -9 a process and all it started."""
    kill(descendants(pid))


def kill(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def found(pid: int, word: str) -> list[int]:
    """Return those of a process's descendants whose command line holds `word`."""
    pids = []
    for each in descendants(pid):
        with contextlib.suppress(OSError):
            if word.encode() in Path(f"/proc/{each}/cmdline").read_bytes():
                pids.append(each)
    return pids


def assert_nothing_leaked(machines: Machines) -> None:
    """Look for planted names of classes, files, folders and texts in all the server has."""
    organiser = machines.organiser
    folders = (organiser.server, organiser.run, organiser.results, organiser.admin)
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 20
    told = [*machines.root.glob("federation-*.out"), *files]
    leaks = [
        (path, word) for path in told for word in CANARIES if word.encode() in path.read_bytes()
    ]
    assert not leaks
    # The words are there to be found.
    assert CANARIES[0] in str(next((machines.root / "a").rglob("*.png")))
