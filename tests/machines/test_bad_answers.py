"""Sites that answer badly, late or not at all: one run bears it all, and says who missed what."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.machines.machines import Machines, assert_nothing_leaked, running

pytest.importorskip("nvflare")

pytestmark = [pytest.mark.slow, pytest.mark.minutes]

HOUR_S = 3600


def test_what_a_site_does_wrong_costs_its_own_round_alone(tmp_path: Path) -> None:
    """NaN, wrong names, wrong dtype, 300 MB, an old reply, a hang, a full disk, a filtered NaN.

    Site c does what it likes; site b has its filter, a full disk, a clock two hours ahead, and
    sends an old reply again.
    """
    from tests.machines.in_process import in_process

    bad = {"1": "nan", "2": "names", "3": "dtype", "4": "huge", "5": "hang"}
    # An old reply is no reply: both wait for the deadline of the same round.
    ours = {"1": "nan", "3": "full disk", "5": "again"}
    deadline_s = 30.0
    machines = Machines(
        tmp_path / "machines",
        rounds=8,
        entries={"client_state": "persistent"},
        deadline_s=deadline_s,
    )
    with running(machines):
        machines.join("a")
        machines.join("b", FEDMVP_TEST_FAULTS=json.dumps(ours), FEDMVP_TEST_CLOCK=str(2 * HOUR_S))
        machines.join(
            "c",
            FEDMVP_TEST_FAULTS=json.dumps(bad),
            FEDMVP_TEST_NO_FILTER="1",
            FEDMVP_TEST_HANG=str(deadline_s + 2),
        )
        serve = machines.serve()
        missed = {(int(round_), "c") for round_ in bad} | {(int(round_), "b") for round_ in ours}
        machines.wait_round(5)  # in which there is nothing to do but to wait
        expected = in_process(machines, tmp_path / "here", missed)
        assert serve.wait(420) == 0, machines.events()
    assert machines.missed() == missed
    results = machines.organiser.results
    assert (results / "weights.safetensors").read_bytes() == expected.weights
    assert (results / "rounds.csv").read_bytes() == expected.rounds
    why = {(event["round"], event["site"]): event["error"] for event in machines.events("missed")}
    assert set(why) == missed
    for key, words in {
        (1, "c"): "not finite",
        (2, "c"): "not one of the method's",
        (3, "c"): "not float32",
        (4, "c"): "314,572,800 bytes",
        (5, "c"): "no reply within",
        (5, "b"): "no reply within",
        (1, "b"): "cannot be read",
        (3, "b"): "OSError: see the site's own log",
    }.items():
        assert words in why[key], why[key]
    assert "No space left" in (machines.kit("b").log).read_text(encoding="utf-8")
    assert_nothing_leaked(machines)
