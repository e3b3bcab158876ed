"""kill -9 of whatever runs, at any moment: the run goes on, and ends in the same bytes."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from tests.machines.machines import Machines, found, kill, kill_tree, running

pytest.importorskip("nvflare")

pytestmark = [pytest.mark.slow, pytest.mark.minutes]

SLOW = '{"all": "slow"}'
KILLS = 10
#: Each job starts a process that loads CLIP at the server and at each site: two sites are enough
#: for an average, and for one that goes on without the other.
SITES = ("a", "b")


def test_job_processes_and_a_whole_site_may_die(tmp_path: Path) -> None:
    """One after the other: a site's job process, the server's, and all of a site, which returns.

    The first two cost no round, since another job takes up the one they were in; the last costs
    the site alone the rounds until it is back.
    """
    from tests.machines.in_process import in_process

    machines = Machines(
        tmp_path / "machines",
        rounds=14,
        entries={"client_state": "persistent"},
        deadline_s=15.0,
        sites=SITES,
    )
    with running(machines):
        joined = {site: machines.join(site, FEDMVP_TEST_FAULTS=SLOW) for site in SITES}
        serve = machines.serve()
        machines.wait_round(2)
        kill(found(joined["b"].pid, "worker_process"))
        machines.wait(lambda: len(machines.events("job")) == 2)
        machines.wait_round(5)
        kill(found(serve.pid, "runner_process"))
        machines.wait(lambda: len(machines.events("job")) == 3)
        machines.wait_round(7)
        assert machines.events("missed") == []
        kill_tree(joined["b"].pid)
        machines.join("b", FEDMVP_TEST_FAULTS=SLOW)
        assert serve.wait(420) == 0, machines.events()
    missed = machines.missed()
    assert missed
    assert {client for _, client in missed} == {"b"}
    assert min(round_ for round_, _ in missed) >= 7
    assert [event["site"] for event in machines.events("returned")] == ["b"]
    last = max(event["round"] for event in machines.events("update") if event["site"] == "b")
    assert last == 13  # it took part again
    assert {(e["round"], e["site"]) for e in machines.events("missed")} == missed
    assert len(machines.events("job")) == 4
    expected = in_process(machines, tmp_path / "here", missed)
    results = machines.organiser.results
    assert (results / "weights.safetensors").read_bytes() == expected.weights
    assert (results / "rounds.csv").read_bytes() == expected.rounds


def test_a_server_killed_at_ten_random_moments_ends_in_the_same_bytes(tmp_path: Path) -> None:
    """The whole of `serve`: supervisor, server and job.

    Half the moments are in a round; the others are while it starts.
    """
    from tests.machines.in_process import in_process

    machines = Machines(
        tmp_path / "machines",
        rounds=14,
        entries={"client_state": "persistent"},
        deadline_s=60.0,
        sites=SITES,
    )
    expected = in_process(machines, tmp_path / "here")
    draw = np.random.default_rng(20)
    with running(machines):
        for site in SITES:
            machines.join(site, FEDMVP_TEST_FAULTS=SLOW)
        for number in range(KILLS):
            serve = machines.serve()
            in_round = bool(number % 2)
            if in_round:
                begun = len(machines.events("round"))
                machines.wait(lambda begun=begun: len(machines.events("round")) > begun)
            time.sleep(float(draw.uniform(0.0, 2.0 if in_round else 6.0)))
            assert serve.poll() is None, "it came to its end before it was killed"
            kill_tree(serve.pid)
            serve.wait()
        assert machines.serve().wait(400) == 0, machines.events()
    assert machines.missed() == set()
    results = machines.organiser.results
    assert (results / "weights.safetensors").read_bytes() == expected.weights
    assert (results / "rounds.csv").read_bytes() == expected.rounds
