"""`fedmvp site join`: one process a kit, started again when it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fedmvp.cli import app
from fedmvp.federation.flare import joining
from fedmvp.federation.flare.joining import stay
from fedmvp.federation.flare.layout import Kit
from fedmvp.interruption import Stopped

pytest.importorskip("nvflare")

HOLDER = """
import sys, pathlib
from fedmvp.process_lock import hold
with hold(pathlib.Path(sys.argv[1]), 5.0):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    made = Kit(tmp_path / "kit")
    made.startup.mkdir(parents=True)
    (made.startup / "fed_client.json").write_text('{"client": {"fqsn": "a"}}', encoding="utf-8")
    made.site.write_text("client: a\n", encoding="utf-8")
    return made


def test_a_second_process_on_one_state_folder_is_refused_and_named(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joining, "_PATIENCE_S", 0.1)
    kit.state.mkdir()
    command = [sys.executable, "-c", HOLDER, str(kit.state / "join.lock")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        result = CliRunner().invoke(app, ["site", "join", str(kit.root)])
        other.kill()
    assert result.exit_code == 2
    (line,) = result.output.splitlines()
    assert f"process {other.pid} already takes part with this kit" in line
    assert f"kill {other.pid}" in line


def test_a_killed_process_leaves_the_kit_free(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    kit.state.mkdir()
    (kit.state / "join.lock").write_text("1", encoding="utf-8")  # what a killed one leaves

    def start(kit: Kit, log: Path) -> None:
        assert (kit.state / "join.lock").read_text(encoding="utf-8") == str(os.getpid())
        raise Stopped(15)

    monkeypatch.setattr(joining, "site_process", start)
    for _ in range(2):  # and one that ended frees it, too
        with pytest.raises(Stopped):
            stay(kit, lambda line: None)
