"""The job a server hands to its sites: which classes run where; no code, no paths, no names."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from fedmvp.federation.flare.policy import POLL_S
from fedmvp.files import write_json

__all__ = ["write_job"]

_CONTROLLER = "fedmvp.federation.flare.controller.FederationController"
_EXECUTOR = "fedmvp.federation.flare.executor.SiteExecutor"


def write_job(folder: Path) -> Path:
    """Write the job's folder, replacing an earlier one, and return it."""
    shutil.rmtree(folder, ignore_errors=True)
    config = folder / "app" / "config"
    write_json(folder / "meta.json", _meta(folder.name))
    write_json(config / "config_fed_server.json", _server())
    write_json(config / "config_fed_client.json", _site())
    return folder


def _meta(name: str) -> dict[str, Any]:
    # FLARE ends a job that has fewer than min_clients sites; our round loop has its own minimum,
    # of answers.
    return {
        "name": name,
        "resource_spec": {},
        "min_clients": 1,
        "deploy_map": {"app": ["@ALL"]},
    }


def _server() -> dict[str, Any]:
    return {
        "format_version": 2,
        "server": {"task_request_interval": POLL_S},
        "task_data_filters": [],
        "task_result_filters": [],
        "components": [],
        "workflows": [{"id": "federation", "path": _CONTROLLER, "args": {}}],
    }


def _site() -> dict[str, Any]:
    return {
        "format_version": 2,
        "task_data_filters": [],
        "task_result_filters": [],
        "components": [],
        "executors": [{"tasks": ["*"], "executor": {"path": _EXECUTOR, "args": {}}}],
    }
