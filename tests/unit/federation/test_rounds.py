"""The round loop: cohorts, logs, checkpoints; a resumed run ends in the same bytes."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from fedmvp.clip.backbone import Backbone
from fedmvp.errors import CheckpointError
from fedmvp.federation.checkpoint import Checkpoint, CheckpointFolder
from fedmvp.federation.client import ClientData
from fedmvp.federation.rounds import FederationResult, RoundReport
from tests.toys import federation
from tests.unit.federation.toy_rounds import CLIENTS, Killed, Load, run

pytestmark = pytest.mark.usefixtures("words")


def same(one: FederationResult, other: FederationResult) -> bool:
    return (
        one.rows == other.rows
        and one.failures == other.failures
        and list(one.tensors) == list(other.tensors)
        and all(torch.equal(one.tensors[name], other.tensors[name]) for name in one.tensors)
    )


VARIANTS: dict[str, dict[str, Any]] = {
    # sigma is passed by some clients only, so phases are mixed.
    "paper": {"switch_loss": 1.3},
    "official-code": {"switch_loss": 1.3, "variant": "official-code"},
}


RULES: dict[str, dict[str, Any]] = {
    "fedavg": {},
    "fedadam": {"aggregation": "fedadam", "server_learning_rate": 0.01},
    # Noise is drawn tensor by tensor, so their order has to come back, too.
    "private": {"privacy": {"clip_norm": 1.0, "noise_multiplier": 0.01, "delta": 1e-5}},
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_resume_after_any_round_gives_equal_bytes(
    tiny: Backbone, load: Load, tmp_path: Path, variant: str, rule: str
) -> None:
    """Global tensors, server state, phases, momenta and the log all come back."""
    params = federation(
        rounds=3, client_state="persistent", participation=0.7, batch_size=2, **RULES[rule]
    )
    whole = run(tiny, load, params, **VARIANTS[variant])
    assert {row["phase"] for row in whole.rows} == {"promptformer", "lora"}
    for stop in (1, 2):
        folder = tmp_path / f"{stop}"
        with pytest.raises(Killed):
            run(tiny, load, params, folder, kill_after=stop, **VARIANTS[variant])
        assert same(run(tiny, load, params, folder, **VARIANTS[variant]), whole)


def test_a_finished_run_is_read_not_repeated(tiny: Backbone, load: Load, tmp_path: Path) -> None:
    params = federation(rounds=2)
    whole = run(tiny, load, params, tmp_path)

    def never(client: str) -> ClientData:
        raise AssertionError("a client was loaded")

    assert same(run(tiny, never, params, tmp_path), whole)


@pytest.mark.parametrize("damage", ["truncated", "altered", "emptied", "renamed"])
def test_a_damaged_checkpoint_falls_back_to_the_round_before(
    tiny: Backbone, load: Load, tmp_path: Path, damage: str
) -> None:
    params = federation(rounds=3)
    whole = run(tiny, load, params)
    with pytest.raises(Killed):
        run(tiny, load, params, tmp_path, kill_after=2)
    files = sorted(tmp_path.glob("*.safetensors"))
    assert len(files) == 2
    content = bytearray(files[-1].read_bytes())
    if damage == "truncated":
        files[-1].write_bytes(content[: len(content) // 2])
    elif damage == "altered":
        content[-100] ^= 1
        files[-1].write_bytes(content)
    elif damage == "emptied":
        files[-1].write_bytes(b"")
    else:
        files[-1].rename(tmp_path / "round-000002-0123456789abcdef.safetensors")
    newest = CheckpointFolder(tmp_path).newest()
    assert newest is not None
    assert newest.rounds_done == 1
    assert same(run(tiny, load, params, tmp_path), whole)


def test_the_newest_two_checkpoints_are_kept(tiny: Backbone, load: Load, tmp_path: Path) -> None:
    run(tiny, load, federation(rounds=4), tmp_path)
    names = sorted(path.name for path in tmp_path.glob("*.safetensors"))
    assert [name[:12] for name in names] == ["round-000003", "round-000004"]
    folder = CheckpointFolder(tmp_path)
    folder.remove()
    assert not tmp_path.exists()
    folder.remove()  # nothing left to remove is not an error
    assert folder.newest() is None


def test_checkpoints_hold_everything_exactly() -> None:
    draw = torch.Generator().manual_seed(0)
    rows = [{"round": 0, "loss": 0.1 + 0.2, "client": "é"}]
    one = Checkpoint(
        4,
        {"w": torch.randn(5, generator=draw)},
        {"m": torch.ones(1)},
        rows,
        [{"error": "x"}],
    )
    two = Checkpoint.from_bytes(one.to_bytes())
    assert two.to_bytes() == one.to_bytes()
    assert (two.rounds_done, two.rows, two.failures) == (4, rows, [{"error": "x"}])
    assert torch.equal(two.tensors["w"], one.tensors["w"])


def test_partial_participation(tiny: Backbone, load: Load) -> None:
    """A round trains its cohort only, and logs one row per selected client."""
    params = federation(rounds=6, participation=0.4)
    result = run(tiny, load, params)
    assert [row["round"] for row in result.rows] == list(range(6))
    assert len({row["client"] for row in result.rows}) > 1
    rates = [row["learning_rate"] for row in result.rows]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == 0.01


def test_rows_and_progress(tiny: Backbone, load: Load) -> None:
    told: list[RoundReport] = []
    result = run(tiny, load, federation(rounds=2), progress=told.append)
    assert [(r["round"], r["client"]) for r in result.rows] == [
        (i, client) for i in range(2) for client in CLIENTS
    ]
    assert {"phase", "images", "loss", "loss_ce", "loss_con", "accuracy", "bytes_up"} <= set(
        result.rows[0]
    )
    assert [(r.round_index, r.client, r.clients) for r in told[:3]] == [
        (0, 1, 3),
        (0, 2, 3),
        (0, 3, 3),
    ]
    assert told[0].loss == result.rows[0]["loss"]


def test_two_processes_cannot_train_one_run(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path / "scratch/run")
    with folder.held():
        (folder.path / "fold").mkdir(parents=True)
        half = folder.path / "fold/.round-000001.partial"
        half.write_bytes(b"half a checkpoint")
        with (
            pytest.raises(CheckpointError, match=f"process {os.getpid()} trains this very run"),
            CheckpointFolder(folder.path).held(patience_s=0.1),
        ):
            pass
        assert half.exists()
    for number, age_s in enumerate((30, 10)):
        path = folder.path / f"fold/round-{number + 1:06d}-0123456789abcdef.safetensors"
        path.write_bytes(b"")
        os.utime(path, (time.time() - age_s, time.time() - age_s))
    with (
        folder.held(),
        pytest.raises(CheckpointError, match=r"2 of 5 rounds done, about (4\d|50) seconds to go"),
        CheckpointFolder(folder.path).held(rounds=5, patience_s=0.1),
    ):
        pass
    with folder.held():  # the first has gone; what it left half written goes, too
        assert not half.exists()
