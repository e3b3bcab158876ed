"""A Ray cluster of two nodes on this machine; runs where the extra `cluster` is installed."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fedmvp.errors import ConfigError
from fedmvp.files import sha256_file
from pipeline.cluster import ray_cluster
from pipeline.cluster.ray_cluster import cluster_places, connected, require_alike
from tests.paths import ROOT
from tests.pipeline.remotes import KINDS, opened_remote
from tests.pipeline.tiny import dvc
from tests.pipeline.toy_project import calls, start, until, write_project

pytest.importorskip("ray", reason="the extra `cluster` is not installed")
pytestmark = [pytest.mark.minutes, pytest.mark.pipeline, pytest.mark.slow]

GRAPH = {
    "code": (),
    "train-a": ("code",),
    "train-b": ("code",),
    "evaluate-a": ("train-a", "code"),
    "track": ("evaluate-a", "train-b"),
}
RESULTS = ("train-a", "train-b", "evaluate-a")
_PATIENCE_S = 400.0


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "a project"
    write_project(root, GRAPH, RESULTS)
    return root


def run(root: Path, **request: object) -> subprocess.Popen[str]:
    return start(root, json.dumps({"jobs": 2, "threads": 1, **request}))


def finish(process: subprocess.Popen[str]) -> tuple[str, str]:
    out, error = process.communicate(timeout=_PATIENCE_S)
    assert process.returncode == 0, out + error
    return out, error


def assert_as_dvc_repro(root: Path, tmp_path: Path) -> None:
    """Compare with what `dvc repro` leaves."""
    plain = tmp_path / "plain"
    write_project(plain, GRAPH, RESULTS)
    assert dvc(plain, "repro").returncode == 0
    names = ["dvc.lock", *(p.relative_to(plain).as_posix() for p in plain.rglob("*.out"))]
    assert len(names) == 6
    assert {n: (root / n).read_bytes() for n in names} == {
        n: (plain / n).read_bytes() for n in names
    }
    assert json.loads(dvc(root, "status", "--json").stdout) == {}


@pytest.mark.parametrize("kind", KINDS)
def test_machines_that_share_no_disk(
    cluster: Any, project: Path, tmp_path: Path, kind: str
) -> None:
    with opened_remote(kind, project) as remote:
        out, _ = finish(run(project, address=cluster.address, remote=remote))
    assert "5 ran" in out
    assert calls(project, "code")
    assert calls(project, "track")
    assert not any(calls(project, name) for name in RESULTS)  # they ran elsewhere
    assert_as_dvc_repro(project, tmp_path)


def test_another_version_is_an_error(
    cluster: Any, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / ".fedmvp/run").mkdir(parents=True)
    here = importlib.metadata.version
    with connected(cluster.address) as ray:
        places, resources = cluster_places(ray, None, 1)
        assert [place.name for place in places] == ["ray 1", "ray 2"]
        assert resources == {"num_cpus": 1.0}
        require_alike(ray, project, None, shared=True)
        monkeypatch.setattr(
            importlib.metadata, "version", lambda name: "0.1" if name == "torch" else here(name)
        )
        with pytest.raises(ConfigError, match="has another torch"):
            require_alike(ray, project, None, shared=False)
        monkeypatch.setattr(
            importlib.metadata, "version", lambda name: "1.0" if name == "s3fsx" else here(name)
        )
        with pytest.raises(ConfigError, match=r"has another s3fsx: none; got '1.0'"):
            require_alike(ray, project, None, shared=False, packages=["s3fsx"])


@pytest.mark.parametrize(
    ("file", "words"),
    [("weights.safetensors", "has another /"), ("token", "does not see this checkout")],
)
def test_another_file_is_an_error(
    cluster: Any, project: Path, monkeypatch: pytest.MonkeyPatch, file: str, words: str
) -> None:
    (project / ".fedmvp/run").mkdir(parents=True)
    weights = project / "weights.safetensors"
    weights.write_bytes(b"weights")
    monkeypatch.setattr(
        ray_cluster, "sha256_file", lambda path: "0" if path.name == file else sha256_file(path)
    )
    with connected(cluster.address) as ray, pytest.raises(ConfigError, match=words) as caught:
        require_alike(ray, project, str(weights), shared=True)
    assert "--address" in str(caught.value)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("127.0.0.1:9", "--address: no cluster answers"),
        ("local", "--address: not the address of a cluster"),
        ("ray://127.0.0.1:9", "--address: not the address of a cluster"),
    ],
)
def test_no_cluster_is_an_error(project: Path, address: str, words: str) -> None:
    process = run(project, address=address)
    _, error = process.communicate(timeout=_PATIENCE_S)
    assert process.returncode == 2, error
    assert words in error
    assert "Traceback" not in error
    assert not (project / "calls").exists()


def test_a_node_that_is_killed(cluster: Any, project: Path, tmp_path: Path) -> None:
    """Its stage is tried again on the other; last, for a node is lost."""
    traps = [project / "traps/train-a.wait", project / "traps/train-b.wait"]
    for path in traps:
        path.touch()
    process = run(project, address=cluster.address)
    until(lambda: all(calls(project, name) for name in ("train-a", "train-b")), _PATIENCE_S)
    (stage,) = calls(project, "train-a")
    environment = Path(f"/proc/{stage}/environ").read_bytes().split(b"\0")
    (raylet,) = [int(e.split(b"=")[1]) for e in environment if e.startswith(b"RAY_RAYLET_PID=")]
    (node,) = [
        node
        for node in cluster.list_all_nodes()
        if node.all_processes["raylet"][0].process.pid == raylet
    ]
    cluster.remove_node(node, allow_graceful=False)
    traps[1].unlink()
    until(lambda: process.poll() is not None or len(calls(project, "train-a")) == 2, _PATIENCE_S)
    assert process.poll() is None, process.communicate()
    traps[0].unlink()
    out, error = finish(process)
    assert "train-a was killed and is started again" in error
    assert "5 ran" in out
    assert len(calls(project, "train-b")) == 1
    assert_as_dvc_repro(project, tmp_path)


def test_ray_is_only_needed_with_an_address(project: Path) -> None:
    code = "import sys; sys.modules['ray'] = None; sys.argv = ['', '{}']\n"
    code += "import runpy; runpy.run_module('pipeline.cluster', run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
