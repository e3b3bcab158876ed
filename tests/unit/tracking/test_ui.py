"""MLflow's pages: where they are, and who may see them."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from fedmvp.errors import ConfigError
from fedmvp.tracking.store import open_experiment, tracking_uri
from fedmvp.tracking.ui import page_address, ui_command


@pytest.fixture
def port() -> int:
    """Return a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_page_is_served_to_this_machine_only(root: Path, port: int) -> None:
    command = ui_command(root, port=port)
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert command[command.index("--port") + 1] == str(port)
    with pytest.raises(ConfigError, match="no such port"):
        ui_command(root, port=0)
    with pytest.raises(ConfigError, match="the tracking store is a server") as caught:
        ui_command(root, uri="https://name:secret@host.example/path")
    assert "secret" not in str(caught.value)


def test_a_taken_port_is_told_with_a_way_out(root: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {taken} .*--port") as caught:
            ui_command(root, port=taken)
    assert f"http://127.0.0.1:{taken}" in str(caught.value)
    assert str(taken) in ui_command(root, port=taken)  # free again


@pytest.mark.slow
def test_the_address_leads_to_the_runs(store: Any, root: Path, tmp_path: Path) -> None:
    assert page_address(tmp_path, port=7).startswith("http://127.0.0.1:7/#/experiments?")
    assert page_address(root, port=7).startswith("http://127.0.0.1:7/#/experiments?")
    experiment = open_experiment(store, tracking_uri(root), "tiny")
    assert page_address(root, port=7) == (
        f"http://127.0.0.1:7/#/experiments/{experiment}/runs?workflowType=machine_learning"
    )
