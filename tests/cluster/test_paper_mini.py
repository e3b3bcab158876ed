"""The paper's pipeline on miniatures, on a Ray cluster that loses a machine in the middle."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from fedmvp.files import sha256_file
from tests.miniatures import build_miniatures
from tests.outputs import files
from tests.paths import ROOT
from tests.pipeline.tiny import copy_repository, dvc, forked_repro
from tests.pipeline.toy_project import start, until

pytest.importorskip("ray", reason="the extra `cluster` is not installed")
pytestmark = [pytest.mark.minutes, pytest.mark.pipeline, pytest.mark.slow]

_PATIENCE_S = 3600.0


def make_project(root: Path) -> Path:
    copy_repository(root)
    build_miniatures(root)
    profile = ROOT / "fedmvp/profiles/paper-mini.yaml"
    (root / "params.yaml").write_bytes(profile.read_bytes())
    return root


def done(root: Path) -> dict[str, Any]:
    """Return the stages of dvc.lock; while it is written, it may be half of it."""
    try:
        text = (root / "dvc.lock").read_text(encoding="utf-8")
        return dict((yaml.safe_load(text) or {}).get("stages", {}))
    except (FileNotFoundError, yaml.YAMLError):
        return {}


def outputs(root: Path) -> dict[str, str]:
    """Return the hash of every file that stages wrote."""
    return {path.relative_to(root).as_posix(): sha256_file(path) for path in files(root)}


def working_node(cluster: Any, root: Path) -> Any:
    """Return the node that runs a training or an evaluation, once there is one."""
    found: list[Any] = []

    def look() -> bool:
        raylets = {n.all_processes["raylet"][0].process.pid: n for n in cluster.list_all_nodes()}
        for path in Path("/proc").glob("[0-9]*"):
            try:
                words = (path / "cmdline").read_bytes().split(b"\0")
                if not {b"pipeline.train", b"pipeline.evaluate"} & set(words):
                    continue
                if (path / "cwd").readlink() != root:
                    continue
                environment = (path / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            for entry in environment:
                if entry.startswith(b"RAY_RAYLET_PID=") and int(entry[15:]) in raylets:
                    found.append(raylets[int(entry[15:])])
        return bool(found)

    until(look, _PATIENCE_S)
    return found[0]


def test_it_is_dvc_repros_though_a_node_is_killed(cluster: Any, tmp_path: Path) -> None:
    plain, root = make_project(tmp_path / "plain"), make_project(tmp_path / "a cluster's")
    expected = forked_repro(plain, FEDMVP_THREADS="1")
    assert expected.returncode == 0, expected.stdout[-3000:] + expected.stderr[-3000:]
    stages = len(done(plain))
    assert stages > 90

    request = {"address": cluster.address, "jobs": 2, "threads": 1}
    with (tmp_path / "log").open("w", encoding="utf-8") as log:
        process = start(root, json.dumps(request), output=log)
        try:
            until(lambda: process.poll() is not None or len(done(root)) >= stages // 2, _PATIENCE_S)
            assert process.poll() is None, (tmp_path / "log").read_text(encoding="utf-8")
            cluster.remove_node(working_node(cluster, root), allow_graceful=False)
            code = process.wait(_PATIENCE_S)
        finally:
            process.kill()
            process.wait()
    text = (tmp_path / "log").read_text(encoding="utf-8")
    print(text)
    assert code == 0, text
    assert re.search(r"(train|evaluate)\S* was killed and is started again", text)
    assert f"{stages} stages in" in text
    assert f"{stages} ran" in text

    assert (root / "dvc.lock").read_bytes() == (plain / "dvc.lock").read_bytes()
    assert outputs(root) == outputs(plain)
    assert json.loads(dvc(root, "status", "--json").stdout) == {}
