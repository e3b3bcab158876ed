"""What clients keep, by round: a repeated round starts from what it started from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fedmvp.errors import CheckpointError
from fedmvp.federation.client import ClientState
from fedmvp.federation.states import MemoryStates, StateFolder, States


def state(value: float, phase: str = "two") -> ClientState:
    return ClientState(phase, {"w": torch.full((3,), value)}, {"own/0": torch.ones(2, 2)})


def value(found: ClientState) -> float | None:
    return float(found.momentum["w"][0]) if found.momentum else None


@pytest.fixture(params=["memory", "folder"])
def states(request: pytest.FixtureRequest, tmp_path: Path) -> States:
    if request.param == "memory":
        return MemoryStates("one")
    return StateFolder(tmp_path / "states", "one")


def test_the_state_before_a_round_is_the_newest_up_to_it(states: States) -> None:
    assert states.before("a", 7) == ClientState("one")
    states.keep("a", state(1.0), since=0, after=1)
    states.keep("a", state(5.0), since=1, after=5)
    assert [value(states.before("a", k)) for k in (0, 1, 4, 5, 9)] == [None, 1.0, 1.0, 5.0, 5.0]
    assert states.before("a", 5).phase == "two"
    assert torch.equal(states.before("a", 5).personal["own/0"], torch.ones(2, 2))
    assert value(states.before("b", 9)) is None


def test_a_round_repeated_takes_the_place_of_its_first_attempt(states: States) -> None:
    states.keep("a", state(1.0), since=0, after=1)
    states.keep("a", state(2.0), since=1, after=2)
    states.keep("a", state(3.0), since=1, after=2)
    assert [value(states.before("a", k)) for k in (1, 2)] == [1.0, 3.0]


def test_rounds_that_did_not_count_are_forgotten(states: States) -> None:
    """Its update of round 1 came too late: round 4 starts from the state before round 1."""
    states.keep("a", state(1.0), since=0, after=1)
    states.keep("a", state(2.0), since=1, after=2)
    assert value(states.before("a", 1)) == 1.0
    states.keep("a", state(4.0), since=1, after=5)
    assert [value(states.before("a", k)) for k in (1, 2, 4, 5)] == [1.0, 1.0, 1.0, 4.0]


def test_what_two_checkpoints_need_is_kept_and_no_more(states: States) -> None:
    for index in range(6):
        states.keep("a", state(float(index)), since=index, after=index + 1)
    # The newest checkpoint is before round 5 or 6, and the one before it before round 4 or 5.
    assert [value(states.before("a", k)) for k in (4, 5, 6)] == [3.0, 4.0, 5.0]
    assert value(states.before("a", 3)) is None


def test_what_is_returned_may_be_changed(states: States) -> None:
    given = state(1.0)
    states.keep("a", given, since=0, after=1)
    given.momentum["w"].zero_()
    states.before("a", 1).momentum["w"].zero_()
    assert value(states.before("a", 1)) == 1.0


def files(folder: StateFolder) -> list[Path]:
    return sorted(folder.path.rglob("*.safetensors"))


def test_another_process_finds_them_under_any_name(tmp_path: Path) -> None:
    one = StateFolder(tmp_path, "one")
    for number, client in enumerate(("dir/a", "../b", "é\n")):
        one.keep(client, state(float(number)), since=0, after=1)
    again = StateFolder(tmp_path, "one")
    assert [value(again.before(c, 1)) for c in ("dir/a", "../b", "é\n")] == [0.0, 1.0, 2.0]
    assert all(tmp_path in path.parents for path in files(one))
    assert not list(tmp_path.rglob("round-*"))  # which checkpoints are counted by


def test_an_unchanged_state_is_not_written_again(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path, "one")
    folder.keep("a", ClientState("one"), since=0, after=1)
    written = files(folder)
    for index in range(1, 9):
        folder.keep("a", ClientState("one"), since=index, after=index + 1)
    assert files(folder) == written
    folder.keep("a", ClientState("two"), since=9, after=10)
    assert [folder.before("a", k).phase for k in (9, 10)] == ["one", "two"]
    # The attempt at round 9 did not count, and this one leaves everything as it was.
    folder.keep("a", ClientState("one"), since=9, after=10)
    assert folder.before("a", 10).phase == "one"
    assert files(folder) == written


def test_a_damaged_state_is_no_older_one(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path, "one")
    folder.keep("a", state(1.0), since=0, after=1)
    folder.keep("a", state(2.0), since=1, after=2)
    path = files(folder)[-1]
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(CheckpointError, match=r"state of client a before round 2 is damaged"):
        folder.before("a", 2)
    assert value(folder.before("a", 1)) == 1.0


@pytest.mark.parametrize("place", ["memory", "folder"])
def test_rounds_whose_models_are_kept_stay(tmp_path: Path, place: str) -> None:
    """The last three of eight, of a client that took part in some of them."""
    kept = MemoryStates("one", 6) if place == "memory" else StateFolder(tmp_path, "one", "cpu", 6)
    trained = (0, 1, 2, 5, 6, 7)
    for index, since in zip(trained, (0, 1, 2, 3, 6, 7), strict=True):
        kept.keep("a", state(float(index)), since=since, after=index + 1)
    assert [value(kept.before("a", k)) for k in (6, 7, 8)] == [5.0, 6.0, 7.0]
    rare = MemoryStates("one", 6) if place == "memory" else StateFolder(tmp_path, "one", "cpu", 6)
    rare.keep("b", state(1.0), since=0, after=2)
    rare.keep("b", state(7.0), since=2, after=8)
    assert [value(rare.before("b", k)) for k in (6, 7, 8)] == [1.0, 1.0, 7.0]


def test_a_client_that_took_part_does_not_begin_anew_unseen(states: States) -> None:
    assert states.start("a", 3, {"a": 0}) == (0, ClientState("one"))
    with pytest.raises(CheckpointError, match=r"^client a, round 3: has no state, although"):
        states.start("a", 3, {"a": 2})
    states.keep("a", state(2.0), since=0, after=2)
    number, found = states.start("a", 3, {"a": 2})
    assert (number, value(found)) == (2, 2.0)
    assert states.start("a", 3, None)[0] == 3
