"""The supervisor with a server and a session that are played: when it goes on, and when it ends."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fedmvp.config import load_params
from fedmvp.errors import ClientFailure, ConfigError
from fedmvp.federation.flare import serving
from fedmvp.federation.flare import supervisor as module
from fedmvp.federation.flare.events import Events
from fedmvp.federation.flare.layout import Organiser
from fedmvp.federation.flare.progress import Progress
from fedmvp.federation.flare.serving import held, server_ahead
from fedmvp.federation.flare.session import Unreachable
from fedmvp.federation.flare.settings import FederationSettings, new_plan
from fedmvp.federation.flare.supervisor import Supervisor
from fedmvp.federation.plan import Plan
from tests.paths import ROOT

SITES = ("a", "b", "c")


class World:
    """A server whose jobs do what the test says."""

    def __init__(self, organiser: Organiser) -> None:
        self.organiser = organiser
        self.events = Events(organiser.events)
        self.running = False
        self.starts = 0
        self.connected = list(SITES)
        self.jobs: list[Callable[[], str]] = []
        self.done = False
        self.submitted = 0
        self.aborted: list[str] = []
        self._status = "RUNNING"

    # What the supervisor sees of a process.
    def stop(self) -> None:
        self.running = False

    # And of a session.
    def sites(self) -> list[str]:
        if not self.running:
            raise Unreachable
        return self.connected

    def submit(self, folder: Path) -> str:
        assert (folder / "meta.json").is_file()
        self.submitted += 1
        self._status = ""
        return f"job{self.submitted}"

    def status(self, job: str) -> str:
        if not self._status:
            assert self.jobs, "one job more than expected"
            self._status = self.jobs.pop(0)()
        return self._status

    def abort(self, job: str) -> None:
        self.aborted.append(job)

    def close(self) -> None:
        pass

    # What jobs do.
    def finishes(self) -> str:
        self.done = True
        self.events.write("finished", metrics={})
        return "FINISHED:COMPLETED"

    def dies_in(self, index: int) -> Callable[[], str]:
        def die() -> str:
            self.events.write("round", round=index, sites=list(SITES))
            return "FINISHED:EXECUTION_EXCEPTION"

        return die

    def stops(self, kind: str, error: str) -> Callable[[], str]:
        def stop() -> str:
            self.events.write("stopped", kind=kind, error=error)
            return "FINISHED:EXECUTION_EXCEPTION"

        return stop

    def takes_the_server_down(self) -> str:
        self.running = False
        raise Unreachable


@pytest.fixture
def plan() -> Plan:
    params = load_params(ROOT / "fedmvp/profiles/default.yaml")
    return new_plan(
        params, "promptfl", name="run", sites=SITES, seed=1, backbone_sha256="0" * 64, rounds=9
    )


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    organiser = Organiser(tmp_path)
    organiser.run.mkdir()
    made = World(organiser)

    def start(organiser: Organiser, log: Path) -> World:
        made.running = True
        made.starts += 1
        return made

    monkeypatch.setattr(serving, "server_process", start)
    monkeypatch.setattr(module, "open_session", lambda organiser: made)
    monkeypatch.setattr(module, "is_whole", lambda organiser, plan: made.done)
    monkeypatch.setattr(module.time, "sleep", lambda seconds: None)
    yield made


def run(world: World, plan: Plan, server: Any = None, **changes: Any) -> Supervisor:
    settings = FederationSettings(authority="x", host="h", port=1, **changes)
    supervisor = Supervisor(world.organiser, plan, settings, lambda progress, sites: None, server)
    supervisor.run()
    return supervisor


def test_one_job_is_enough(world: World, plan: Plan) -> None:
    world.jobs = [world.finishes]
    run(world, plan)
    assert (world.submitted, world.starts, world.running) == (1, 1, False)


def test_a_server_that_starts_already_is_waited_for(
    world: World, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([False, False, True])

    def open_session(organiser: Organiser) -> World:
        if not next(answers, True):
            raise Unreachable
        return world

    monkeypatch.setattr(module, "open_session", open_session)
    world.jobs = [world.takes_the_server_down, world.finishes]
    with server_ahead(world.organiser) as server:
        run(world, plan, server)
    # The second is the one in place of the first, which went away.
    assert (world.starts, world.submitted, world.running) == (2, 2, False)


def test_a_server_that_was_started_ahead_ends_with_whatever_goes_wrong(world: World) -> None:
    with pytest.raises(ConfigError, match="plan"), server_ahead(world.organiser):
        assert world.running
        raise ConfigError("plan", where="x", hint="y")
    assert not world.running


def test_no_server_is_started_ahead_of_results_that_are_there(world: World) -> None:
    world.organiser.results.mkdir()
    (world.organiser.results / "run.json").write_text("{}", encoding="utf-8")
    with server_ahead(world.organiser) as server:
        assert server is None
    assert not world.starts


def test_a_job_is_over_once_its_sites_were_told(world: World, plan: Plan) -> None:
    def tells() -> str:
        world.finishes()
        world.events.write("over", job="job2")
        return "RUNNING"  # the engine takes seconds more

    def pauses() -> str:
        world.events.write("paused", job="job1")
        world.events.write("over", job="job1")
        return "RUNNING"

    world.jobs = [pauses, tells]
    run(world, plan)
    assert world.submitted == 2


def test_a_job_that_dies_is_followed_by_another_while_rounds_are_made(
    world: World, plan: Plan
) -> None:
    world.jobs = [*(world.dies_in(index) for index in range(9)), world.finishes]
    run(world, plan)
    assert world.submitted == 10


def test_jobs_that_get_nowhere_end_the_run(world: World, plan: Plan) -> None:
    world.jobs = [world.dies_in(3)] * 20
    with pytest.raises(ClientFailure, match=r"round 3.*finished rounds are kept"):
        run(world, plan)
    assert world.submitted == 1 + module._TRIES
    assert not world.running


@pytest.mark.parametrize("kind", ["ConfigError", "CheckpointError", "BackboneError"])
def test_what_another_job_cannot_cure_is_not_tried_again(
    world: World, plan: Plan, kind: str
) -> None:
    world.jobs = [world.stops(kind, "plan.json: seed differs")]
    with pytest.raises(ClientFailure, match="seed differs"):
        run(world, plan)
    assert world.submitted == 1


def test_a_server_that_is_gone_is_started_again_and_its_job_left_stale(
    world: World, plan: Plan
) -> None:
    world.jobs = [world.takes_the_server_down, world.finishes]
    run(world, plan)
    assert (world.starts, world.submitted) == (2, 2)


def test_a_job_that_says_nothing_is_stale(
    world: World, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 10**9, 100))
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    world.jobs = [lambda: "RUNNING", world.finishes]
    run(world, plan, wait_s=1e6, round_deadline_s=600)
    assert world.aborted == ["job1"]
    assert world.submitted == 2


def test_too_few_sites_are_told_by_name(world: World, plan: Plan) -> None:
    world.connected = ["b"]
    with pytest.raises(ClientFailure, match=r"1 of 3 sites.*2 are needed; missing: a, c"):
        run(world, plan, wait_s=0.05)
    assert (world.submitted, world.running) == (0, False)


def test_the_minimum_goes_on_after_the_wait(world: World, plan: Plan) -> None:
    world.connected, world.jobs = ["a", "c"], [world.finishes]
    run(world, plan, wait_s=0.05)
    assert world.submitted == 1


def test_a_silent_site_that_is_there_again_is_let_in_once(world: World, plan: Plan) -> None:
    settings = FederationSettings(authority="x", host="h", port=1)
    supervisor = Supervisor(world.organiser, plan, settings, lambda progress, sites: None)
    pause = world.organiser.pause

    def happens(event: str, **fields: Any) -> None:
        world.events.write(event, site="b", **fields)
        supervisor.progress.read(world.organiser.events)

    happens("missed", round=1, heard=False, error="gave no reply")
    world.events.write("round", round=2, sites=list(SITES))  # the next has begun already
    supervisor.progress.read(world.organiser.events)
    supervisor._let_in(["a", "c"])
    assert not pause.exists()
    supervisor._let_in(["a", "b", "c"])
    assert pause.exists()
    pause.unlink()
    happens("missed", round=2, heard=False, error="gave no reply")
    supervisor._let_in(["a", "b", "c"])
    assert not pause.exists()  # it is there, and too slow
    happens("update", round=3, images=1, loss=None)
    supervisor._let_in(["a", "b", "c"])
    happens("missed", round=4, heard=True, error="loss is not finite")
    supervisor._let_in(["a", "b", "c"])
    assert not pause.exists()  # it answered: another job would not help
    happens("missed", round=5, heard=False, error="is gone")
    supervisor._let_in(["a", "b", "c"])
    assert pause.exists()


def test_a_folder_is_served_by_one(tmp_path: Path) -> None:
    organiser = Organiser(tmp_path)
    told = f"process {os.getpid()} already serves this federation"
    with held(organiser), pytest.raises(ConfigError, match=told), held(organiser):
        pass
    with held(organiser):  # and free again
        pass


def test_progress_passes_over_a_line_that_was_cut(tmp_path: Path) -> None:
    events = Events(tmp_path / "events.jsonl")
    progress = Progress.of(SITES)
    events.write("job", job="1")
    with events.path.open("a", encoding="utf-8") as file:
        file.write('{"event": "rou')
    assert progress.read(events.path)
    assert not progress.read(events.path)
    with events.path.open("a", encoding="utf-8") as file:
        file.write("\n")
    events.write("round", round=0, sites=["a"])
    events.write("refused", site="c", error="plan differs")
    progress.read(events.path)
    assert (progress.round, progress.jobs) == (0, 1)
    states = {name: site.state for name, site in progress.sites.items()}
    assert states == {"a": "training", "b": "waiting", "c": "refused"}
    assert progress.as_dict()["sites"]["c"]["note"] == "plan differs"
