"""Training that is killed, stopped, or out of disk ends in the bytes of one that was left alone."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from fedmvp.csv_files import read_csv
from tests.paths import ROOT
from tests.pipeline.tiny import environment
from tests.pipeline.victims import Victim, start

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]

RESULT = Path("results/base_to_new/fedmvp/seed1")
OUTPUTS = ("rounds.csv", "weights.safetensors", "failures.json", "run.json")
SCRATCH = Path(".fedmvp/scratch")
KILLS_BEFORE_THE_END = 3
TRIALS = 5
# Everything a checkpoint has to bring back: momenta, a server optimizer, phases, cohorts.
FEDERATION: dict[str, Any] = {
    "rounds": 4,
    "participation": 0.7,
    "batch_size": 4,
    "client_state": "persistent",
    "aggregation": "fedadam",
    "server_learning_rate": 0.01,
}
FILES_AT_THE_START = 1  # training.json, for those who watch
SWITCH_LOSS = 2.9  # some clients reach it, some do not


@pytest.fixture(scope="module")
def bench(tiny_done: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project whose training can start at once, with an uninterrupted result in whole/."""
    root = tmp_path_factory.mktemp("bench") / "project"
    shutil.copytree(tiny_done, root, ignore=shutil.ignore_patterns(".git", ".dvc", "results"))
    path = root / "params.yaml"
    params = yaml.safe_load(path.read_text(encoding="utf-8"))
    params["federation"] |= FEDERATION
    params["methods"]["fedmvp"]["switch_loss"] = SWITCH_LOSS
    params["partition"]["classes_per_client"] = 10
    path.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    subprocess.run(
        [sys.executable, "-m", "pipeline.partition", "base_to_new"],
        cwd=root,
        env=environment(PYTHONPATH=str(ROOT)),
        check=True,
    )
    os.environ["PYTHONPATH"] = str(ROOT)  # the fork server imports by it
    # The first run fills the caches of images and features, so the second is as fast as the rest.
    for _ in range(2):
        shutil.rmtree(root / "results", ignore_errors=True)
        assert finish(Victim(root)) == 0, (root / "log.txt").read_text()
    shutil.move(root / RESULT, root / "whole")
    phases = (root / "whole/rounds.csv").read_text(encoding="utf-8")
    assert ",promptformer," in phases
    assert ",lora," in phases
    return root


@pytest.fixture
def fresh(bench: Path) -> Path:
    """Return the project with nothing trained."""
    shutil.rmtree(bench / "results", ignore_errors=True)
    shutil.rmtree(bench / SCRATCH, ignore_errors=True)
    return bench


def finish(victim: Victim) -> int:
    """Run a training to its end; return its exit code, -n for signal n."""
    process = start(victim)
    process.join(300)
    assert process.exitcode is not None
    return process.exitcode


def assert_whole(root: Path) -> None:
    """The outputs are those of the uninterrupted run, and nothing else is left."""
    names = {path.name for path in (root / RESULT).iterdir()}
    assert names == set(OUTPUTS)
    for name in OUTPUTS:
        assert (root / RESULT / name).read_bytes() == (root / "whole" / name).read_bytes(), name
    assert not [path for path in (root / SCRATCH).rglob("*") if path.suffix != ".lock"]


def files_a_round(root: Path) -> int:
    """Return how many files a round writes: a state of each of its clients, and a checkpoint."""
    rows = read_csv(root / "whole/rounds.csv")
    return sum(row["round"] == "0" for row in rows) + 1


def test_killed_at_random_moments(bench: Path) -> None:
    """SIGKILL, again and again: at any time, within writes, within aggregations."""
    draw = random.Random(9)
    files = files_a_round(bench)
    started = time.monotonic()
    assert finish(Victim(bench)) == 0
    length_s = time.monotonic() - started
    kills: list[str] = []
    for trial in range(TRIALS):
        shutil.rmtree(bench / "results", ignore_errors=True)
        shutil.rmtree(bench / SCRATCH, ignore_errors=True)
        for number in range(KILLS_BEFORE_THE_END):
            moment = ("", "half written", "written", "aggregating")[(trial + number) % 4]
            # Few enough that a training resumed near its end still comes to it.
            most = 4 if moment == "aggregating" else files + 2
            process = start(Victim(bench, moment, draw.randint(1, most)))
            if not moment:
                time.sleep(draw.uniform(0, length_s / 2))  # a resumed training is shorter
                process.kill()
            process.join(300)
            if process.exitcode == -signal.SIGKILL:
                kills.append(moment)
        assert finish(Victim(bench)) == 0, (bench / "log.txt").read_text()
        assert_whole(bench)
    assert len(kills) >= 12, kills
    assert {"half written", "written", "aggregating"} <= set(kills)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", ["half written", "aggregating"])
def test_stopped_training_says_how_to_go_on(
    fresh: Path, number: signal.Signals, moment: str
) -> None:
    count = 2 * files_a_round(fresh) + 1 + FILES_AT_THE_START
    assert finish(Victim(fresh, moment, count, signal=number)) == 128 + number
    lines = (fresh / "log.txt").read_text(encoding="utf-8").splitlines()
    assert number.name in lines[-1]
    assert "run `dvc repro` to resume" in lines[-1]
    assert not [line for line in lines if "Traceback" in line]
    assert not list(fresh.rglob("*.partial"))
    assert not (fresh / RESULT).exists()
    assert finish(Victim(fresh)) == 0
    assert "round 1/4" not in (fresh / "log.txt").read_text(encoding="utf-8")
    assert_whole(fresh)


def test_a_full_disk_costs_nothing_that_was_finished(fresh: Path) -> None:
    """First no checkpoint fits, then the first two rounds' do, then all is well again."""
    assert finish(Victim(fresh, file_limit=1000)) == 2
    message = (fresh / "log.txt").read_text(encoding="utf-8").splitlines()[-1]
    assert message.startswith("error: ")
    assert "free disk space" in message
    assert not list(fresh.rglob("*.partial"))
    # Each file is a moment before it has its name, and one after.
    moments = 2 * (2 * files_a_round(fresh) + FILES_AT_THE_START)
    assert finish(Victim(fresh, "written", moments + 1)) == -signal.SIGKILL
    kept = sorted(path.name for path in (fresh / SCRATCH).rglob("round-*"))
    assert len(kept) == 2
    assert finish(Victim(fresh, file_limit=1000)) == 2
    assert sorted(path.name for path in (fresh / SCRATCH).rglob("round-*")) == kept
    assert finish(Victim(fresh)) == 0
    assert_whole(fresh)


def test_outputs_that_cannot_be_written_are_not_lost(fresh: Path) -> None:
    """The trained rounds wait in scratch until the folder can be written."""
    # What not even root may write into.
    (fresh / "results").symlink_to("/proc/self", target_is_directory=True)
    try:
        assert finish(Victim(fresh)) == 2
    finally:
        (fresh / "results").unlink()
    message = (fresh / "log.txt").read_text(encoding="utf-8").splitlines()[-1]
    assert message.startswith("error: results/base_to_new")
    assert "run `dvc repro` again: finished work is kept" in message
    assert finish(Victim(fresh)) == 0
    assert "round" not in (fresh / "log.txt").read_text(encoding="utf-8")
    assert_whole(fresh)


@pytest.mark.parametrize("damage", ["truncated", "altered", "emptied"])
def test_a_damaged_checkpoint_is_passed_over(fresh: Path, damage: str) -> None:
    assert finish(Victim(fresh, "aggregating", 3 * files_a_round(fresh) - 2)) == -signal.SIGKILL
    *_, newest = sorted((fresh / SCRATCH).rglob("round-*"))
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    cut = {"truncated": len(content) // 2, "altered": len(content), "emptied": 0}[damage]
    newest.write_bytes(content[:cut])
    assert finish(Victim(fresh)) == 0
    assert_whole(fresh)
