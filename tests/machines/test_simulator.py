"""FLARE's simulator, all sites in one place: controller and executor without a network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fedmvp.federation.flare.job import write_job
from fedmvp.federation.flare.policy import site_resources
from fedmvp.federation.states import StateFolder
from tests.machines.machines import SITES, Machines, bytecode
from tests.paths import ROOT

pytest.importorskip("nvflare")

pytestmark = pytest.mark.slow

SIMULATE = """
import sys
from nvflare.private.fed.app.simulator.simulator_runner import SimulatorRunner
job, workspace = sys.argv[1:]
sys.exit(SimulatorRunner(job, workspace, clients="a,b,c", threads=3).run())
"""
ENTRIES = {"client_state": "persistent", "weighting": "samples", "participation": 0.7}
#: The first switches its phase, the last two keep tensors to themselves.
# With personal tensors and without; one of them is enough for `make test`.
METHODS = (
    "fedmvp",
    *(pytest.param(name, marks=pytest.mark.minutes) for name in ("promptfl", "fedotp", "fedpgp")),
)


#: With images that show many classes: the head starts from the sites' sums.
MANY_LABELS = ("promptfl",)


def simulate(machines: Machines, workspace: Path) -> None:
    """Run the machines' federation in the simulator, whose allow list is the sites'."""
    local = workspace / "local"
    local.mkdir(parents=True)
    (local / "resources.json").write_text(json.dumps(site_resources()), encoding="utf-8")
    organiser = machines.organiser
    environment = {
        **os.environ,
        **bytecode(),
        **organiser.variables(),
        "FEDMVP_KITS": str(organiser.kits),
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
    }
    job = write_job(machines.root / "job")
    done = subprocess.run(
        [sys.executable, "-c", SIMULATE, job, workspace],
        env=environment,
        capture_output=True,
        timeout=400,
    )
    assert done.returncode == 0, (machines.events(), done.stdout[-3000:], done.stderr[-3000:])


@pytest.mark.parametrize("method", METHODS)
def test_the_simulator_leaves_the_bytes_of_one_process(method: str, tmp_path: Path) -> None:
    from tests.machines.in_process import in_process

    machines = Machines(
        tmp_path / "machines",
        method=method,
        rounds=3,
        entries=ENTRIES,
        many_labels=method in MANY_LABELS,
    )
    expected = in_process(machines, tmp_path / "here")
    simulate(machines, tmp_path / "simulator")
    results = machines.organiser.results
    assert (results / "weights.safetensors").read_bytes() == expected.weights
    assert (results / "rounds.csv").read_bytes() == expected.rounds
    counts = json.loads((results / "counts.json").read_text(encoding="utf-8"))
    assert set(counts["sites"]) == set(SITES)
    assert set(counts["metrics"]) >= ({"known_of1"} if method in MANY_LABELS else {"known"})
    for site in SITES:  # what it keeps to itself is the same there
        kept = StateFolder(machines.kit(site).state / machines.plan.name, "any", "cpu")
        personal = kept.before(site, 3).personal
        assert personal.keys() == expected.personal[site].keys()
        for name, tensor in personal.items():
            assert torch.equal(tensor, expected.personal[site][name]), name
