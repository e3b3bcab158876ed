"""Over TLS, from processes of their own, the sites come to the bytes of one process."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.machines.machines import Machines, assert_nothing_leaked, running

pytest.importorskip("nvflare")

pytestmark = pytest.mark.slow


def test_a_server_and_three_sites_leave_the_bytes_of_one_process(tmp_path: Path) -> None:
    from tests.machines.in_process import in_process

    entries = {"client_state": "persistent", "weighting": "samples", "participation": 0.7}
    machines = Machines(tmp_path / "machines", method="fedmvp", rounds=3, entries=entries)
    expected = in_process(machines, tmp_path / "here")
    with running(machines):
        for site in ("a", "b", "c"):
            machines.join(site)
        assert machines.serve().wait(300) == 0, machines.events()
        assert machines.serve().wait(60) == 0  # nothing is left to do
    results = machines.organiser.results
    assert (results / "weights.safetensors").read_bytes() == expected.weights
    assert (results / "rounds.csv").read_bytes() == expected.rounds
    assert len(machines.events("job")) == 1
    assert_nothing_leaked(machines)
