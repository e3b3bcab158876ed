"""``fedmvp track``: thin over fedmvp.tracking."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from fedmvp.tracking import sync, ui
from tests.unit.cli.conftest import Run


def test_sync_prints_the_report(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def fake(root: Path, uri: str | None) -> sync.SyncReport:
        seen.append((root, uri))
        return sync.SyncReport("sqlite:///x", created=("a", "b"))

    monkeypatch.setattr(sync, "sync", fake)
    output = run("track", "sync", "--store", "sqlite:///x").stdout
    assert output == "tracking: 2 created, 0 updated, 0 unchanged at sqlite:///x\n"
    assert seen == [(Path(), "sqlite:///x")]


def test_ui_serves_this_machine_and_passes_its_exit_code_on(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ui, "ui_command", lambda root, *, port, uri: ["sh", "-c", f"exit {port}"])
    monkeypatch.setattr(ui, "ui_environment", lambda root, uri: {"PATH": os.environ["PATH"]})
    result = run("track", "ui", "--port", "7", code=7)
    assert "http://127.0.0.1:7" in result.stderr


def test_a_taken_port_is_an_error_before_the_server_starts(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("subprocess.run", lambda *_, **__: pytest.fail("a server was started"))
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        result = run("track", "ui", "--port", str(port), code=2)
    assert f"port {port}" in result.stderr
    assert "another port, e.g. --port" in result.stderr


def test_an_alias_needs_a_name(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("result").mkdir()
    result = run("track", "model", "result", "--alias", "champion", code=2)
    assert "give --register NAME, too" in result.stderr
