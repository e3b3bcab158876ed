"""`fedmvp serve` under load: a hundred mixed requests, memory back afterwards; its options."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.serving import running, soak
from fedmvp.cli import app
from tests.paths import ROOT


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from tests.unit.prediction.places import furnish, trained, write_result

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FEDMVP_CATALOG", "catalog")
    return write_result(Path(), trained(furnish(Path(), vocabulary=49408)))


@pytest.mark.slow
def test_a_hundred_mixed_requests(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many places as clients: nobody is turned away, so every status is exact."""
    for name, value in (("REQUESTS", "4"), ("PIXELS", "1000000"), ("MIB", "4"), ("SECONDS", "100")):
        monkeypatch.setenv(f"FEDMVP_SERVE_{name}", value)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "FEDMVP_THREADS": "1"}
    with running([str(place)], env=environment) as (port, pid):
        found = soak(port, pid, count=100, clients=4)
    assert not found.wrong
    assert sum(found.statuses.values()) == 100
    assert not found.turned_away
    classified = sum(count for (_, status), count in found.statuses.items() if status == 200)
    assert len(found.seconds) == classified > 40
    assert found.mib["after"] < found.mib["before"] + 64


def test_a_port_that_is_taken_and_a_folder_that_holds_no_model(place: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        result = CliRunner().invoke(app, ["serve", str(place), "--port", str(taken)])
    assert result.exit_code == 2
    assert f"port {taken} cannot be used" in result.stderr
    result = CliRunner().invoke(app, ["serve", "catalog"])
    assert result.exit_code == 2
    assert "hint: " in result.stderr.splitlines()[-1]
