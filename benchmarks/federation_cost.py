"""What a federation of sites costs beside its training: start-up, rounds, messages, bytes, memory.

    python -m benchmarks.federation_cost --sites 3,10,30

prints the tables of docs/performance.md: three sites as processes over mutual TLS on loopback, then
as many as asked for in FLARE's simulator, each beside the same rounds in one process. A machine
that does nothing else is needed: most numbers are times. Some minutes on two idle cores; the
simulator has a process for each site, of some 300 MiB.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.federation_demo import command, site_trees
from benchmarks.federation_meters import Wire, memory, roles, snapshot
from fedmvp.config import load_params
from fedmvp.csv_files import read_csv
from fedmvp.federation.backend import InProcessBackend
from fedmvp.federation.flare.events import read_events
from fedmvp.federation.flare.job import write_job
from fedmvp.federation.flare.kit import create_federation
from fedmvp.federation.flare.layout import Kit, Organiser
from fedmvp.federation.flare.policy import site_resources
from fedmvp.federation.flare.settings import FederationSettings, new_plan
from fedmvp.federation.flare.site_setup import write_site
from fedmvp.federation.plan import load_plan
from fedmvp.federation.schedule import learning_rate
from fedmvp.federation.site import Site
from fedmvp.federation.site_config import load_site_config
from fedmvp.federation.states import MemoryStates
from fedmvp.files import read_json, write_json
from fedmvp.prediction.backbones import BackboneChoice, prepare_backbone

ROUNDS, WARM = 12, 2
"""Rounds of a run, and those at its start that are not counted."""
CLASSES, TLS_SITES = 2, 3
_WAIT_S = 240.0
_SIMULATE = """
import sys
from nvflare.private.fed.app.simulator.simulator_runner import SimulatorRunner
job, workspace, clients, threads = sys.argv[1:]
sys.exit(SimulatorRunner(job, workspace, clients=clients, threads=int(threads)).run())
"""


def made(folder: Path, method: str, count: int, port: int) -> Organiser:
    """Make a federation whose sites have embedded images, two classes each."""
    sites = tuple(f"site-{number:02d}" for number in range(1, count + 1))
    site_trees(folder, sites, CLASSES)
    backbone = prepare_backbone(BackboneChoice("pictoclip"))
    plan = new_plan(
        load_params(Path(__file__).parents[1] / "fedmvp/profiles/default.yaml"),
        method,
        name="cost",
        sites=sites,
        seed=1,
        backbone_sha256=read_json(backbone / "spec.json")["tower_sha256"],
        rounds=ROUNDS,
    )
    settings = FederationSettings(authority="cost", host="localhost", port=port)
    organiser = create_federation(folder / "federation", settings, plan, backbone)
    for site in sites:
        write_site(
            Kit.open(organiser.kits / site),
            folder / site / "images",
            folder / site / "attributes.json",
            BackboneChoice("pictoclip"),
            template="a drawing of a {}.",
            known="all",
        )
    return organiser


def in_process(organiser: Organiser, scratch: Path) -> tuple[float, float]:
    """Return seconds and CPU seconds of a round of the same sites in this process."""
    plan = load_plan(organiser.plan)
    sites = {
        name: Site.open(
            load_site_config(organiser.kits / name / "site.yaml"), plan, scratch / name, print
        )
        for name in plan.clients
    }
    method, params = next(iter(sites.values())).method, plan.resolved()
    backend = InProcessBackend(
        method,
        lambda name: sites[name].data.client_data(),
        plan.clients,
        params,
        plan.seed,
        MemoryStates(method.first_phase),
    )
    tensors = {name: tensor.detach().clone() for name, tensor in method.tensors().items()}
    walls, cpus = [], []
    for index in range(ROUNDS):
        rate = learning_rate(params.schedule, params.learning_rate, index, params.rounds)
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in backend.run(tensors, plan.clients, index, rate):
            pass
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return median(walls[WARM:]), median(cpus[WARM:])


def events_of(organiser: Organiser, kind: str) -> list[dict[str, Any]]:
    """Return the events of a kind so far."""
    return [event for _, event in read_events(organiser.events) if event["event"] == kind]


def seconds(event: dict[str, Any]) -> float:
    """Return when an event was, in seconds."""
    return datetime.fromisoformat(event["time"]).timestamp()


def round_seconds(organiser: Organiser) -> float:
    """Return the median time from one round's begin to the next one's."""
    begins = [seconds(event) for event in events_of(organiser, "round")][WARM:]
    return median(later - earlier for earlier, later in pairwise(begins))


def wait(ready: Callable[[], bool]) -> None:
    """Wait until something is so."""
    end = time.monotonic() + _WAIT_S
    while not ready():
        if time.monotonic() > end:
            raise SystemExit("error: the federation does not get on; see its folder")
        time.sleep(0.02)


@contextmanager
def running(organiser: Organiser, sites: Sequence[str]) -> Iterator[tuple[int, list[int]]]:
    """Run a server and its sites as a user would."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def start(*words: str | Path) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command(*words),
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    processes = [start("federation", "serve", organiser.root)]
    processes += [start("site", "join", organiser.kits / site) for site in sites]
    try:
        yield processes[0].pid, [process.pid for process in processes[1:]]
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
        for process in processes:
            process.wait()


def over_tls(folder: Path, method: str) -> Iterator[tuple[str, str]]:
    """Yield what was measured of three sites as processes, with its name."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    organiser, wire = made(folder, method, TLS_SITES, port), Wire(port)
    plan = load_plan(organiser.plan)
    for site in plan.clients:  # through the counter
        path = Kit.open(organiser.kits / site).startup / "fed_client.json"
        value = read_json(path)
        value["servers"][0]["service"]["target"] = f"localhost:{wire.port}"
        write_json(path, value)
    wire.start()
    wall, cpu = in_process(organiser, folder / "here")
    began = time.time()
    with running(organiser, plan.clients) as (serve, joined):
        wait(lambda: bool(events_of(organiser, "waited")))
        idle = memory(roles(serve, joined))
        wait(lambda: len(events_of(organiser, "round")) > WARM)
        found = roles(serve, joined)
        first, first_round = snapshot(found, wire), len(events_of(organiser, "round"))
        wait(lambda: len(events_of(organiser, "round")) >= ROUNDS - 1)
        last, last_round = snapshot(found, wire), len(events_of(organiser, "round"))
        busy = memory(found)
        wait(lambda: (organiser.results / "run.json").is_file())
    rounds = last_round - first_round
    messages = rounds * TLS_SITES
    begins = {kind: seconds(events_of(organiser, kind)[0]) for kind in ("waited", "job", "round")}
    yield "start to all sites connected", f"{begins['waited'] - began:.1f} s"
    yield "job submitted to its first round", f"{begins['round'] - begins['job']:.1f} s"
    yield "a round", f"{round_seconds(organiser):.2f} s, in one process {wall:.2f} s"
    trained = cpu / TLS_SITES
    for role in ("site, job", "site", "server, job", "server"):
        used = (last.cpu[role] - first.cpu[role]) / messages
        note = f", of which training {trained:.3f}" if role == "site, job" else ""
        yield f"CPU per message: {role}", f"{used:.3f} s{note}"
    span = rounds * round_seconds(organiser)
    watching = (last.cpu["supervisor"] - first.cpu["supervisor"]) / span
    yield "CPU of the supervisor", f"{watching:.3f} s a second"
    row = read_csv(organiser.results / "rounds.csv")[0]
    for way, key in (("up", "bytes_up"), ("down", "bytes_down")):
        payload = int(row[key])
        travelled = (getattr(last, way) - getattr(first, way)) / messages
        name = f"bytes {way}, a site and round"
        yield name, f"{travelled:,.0f} for {payload:,} of tensors"
    for role in ("server", "site"):
        yield f"memory, idle: {role}", f"{idle[role]:.0f} MiB"
    for role in ("server, job", "site, job"):
        yield f"memory, training: {role}", f"{busy[role]:.0f} MiB"


def simulated(folder: Path, method: str, count: int) -> tuple[float, float]:
    """Return seconds of a round of so many sites in the simulator, and in one process."""
    organiser = made(folder, method, count, 8002)
    wall, _ = in_process(organiser, folder / "here")
    workspace = folder / "simulator"
    write_json(workspace / "local" / "resources.json", site_resources())
    environment = {
        **os.environ,
        **organiser.variables(),
        "FEDMVP_KITS": str(organiser.kits),
        "OMP_NUM_THREADS": "1",
    }
    clients = ",".join(load_plan(organiser.plan).clients)
    # With fewer threads than sites the simulator starts a process for each site and round.
    words = [write_job(folder / "job"), workspace, clients, str(count)]
    done = subprocess.run(
        [sys.executable, "-c", _SIMULATE, *map(str, words)],
        env=environment,
        capture_output=True,
        check=False,
    )
    if done.returncode or not (organiser.results / "run.json").is_file():
        print(done.stderr.decode()[-2000:], json.dumps(events_of(organiser, "stopped")))
        raise SystemExit("error: the simulator did not come to its end")
    return round_seconds(organiser), wall


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sites", default="3,10,30", help="of the simulator")
    parser.add_argument("--method", default="promptfl", help="what is trained, and travels")
    chosen = parser.parse_args(arguments)
    counts = [int(part) for part in chosen.sites.split(",")]
    with tempfile.TemporaryDirectory(prefix="fedmvp-cost.") as scratch:
        print(
            f"| {TLS_SITES} sites over TLS, {ROUNDS} rounds of {chosen.method} | |\n|---|---|",
            flush=True,
        )
        for name, value in over_tls(Path(scratch) / "tls", chosen.method):
            print(f"| {name} | {value} |", flush=True)
        print("\n| sites, simulator | a round | in one process | overhead | a site |")
        print("|---|---|---|---|---|", flush=True)
        for count in counts:
            there, here = simulated(Path(scratch) / f"sim{count}", chosen.method, count)
            over = there - here
            print(
                f"| {count} | {there:.2f} s | {here:.2f} s | {over:.2f} s | {over / count:.3f} s |",
                flush=True,
            )


if __name__ == "__main__":
    main()
