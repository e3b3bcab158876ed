"""The job a server hands out: nothing in it tells a path, and nothing can be set by it."""

from __future__ import annotations

import importlib
import inspect
import json
from pathlib import Path
from typing import Any

import pytest

from fedmvp.federation.flare import policy
from fedmvp.federation.flare.job import write_job


def content(folder: Path) -> dict[str, Any]:
    return {
        path.relative_to(folder).as_posix(): json.loads(path.read_text(encoding="utf-8"))
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_job_has_no_code_no_path_and_no_argument(tmp_path: Path) -> None:
    files = content(write_job(tmp_path / "job"))
    assert set(files) == {
        "meta.json",
        "app/config/config_fed_server.json",
        "app/config/config_fed_client.json",
    }
    assert str(tmp_path) not in json.dumps(files)
    server = files["app/config/config_fed_server.json"]
    site = files["app/config/config_fed_client.json"]
    assert server["server"]["task_request_interval"] == policy.POLL_S == 0.1
    classes = [*server["workflows"], *(each["executor"] for each in site["executors"])]
    assert [entry["args"] for entry in classes] == [{}, {}]
    assert all(entry["path"].startswith(policy.ALLOWED[0]) for entry in classes)


def test_the_classes_it_names_take_no_argument(tmp_path: Path) -> None:
    pytest.importorskip("nvflare")
    files = content(write_job(tmp_path / "job"))
    (workflow,) = files["app/config/config_fed_server.json"]["workflows"]
    (executor,) = files["app/config/config_fed_client.json"]["executors"]
    (check,) = policy.site_privacy()["scopes"][0]["task_result_filters"]
    for path in (workflow["path"], executor["executor"]["path"]):
        module, name = path.rsplit(".", 1)
        made = getattr(importlib.import_module(module), name)
        assert list(inspect.signature(made).parameters) == []
    module, name = check["path"].rsplit(".", 1)
    assert callable(getattr(importlib.import_module(module), name))


def test_a_job_is_written_anew(tmp_path: Path) -> None:
    job = write_job(tmp_path / "job")
    (job / "app" / "custom").mkdir()
    assert not (write_job(job) / "app" / "custom").exists()
