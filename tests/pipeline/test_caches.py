"""DVC's cache linked, collected, shared and cloned from; and experiments in a queue."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import yaml

from tests.outputs import files
from tests.pipeline.conftest import Copy
from tests.pipeline.test_reruns import METHODS
from tests.pipeline.tiny import dvc, environment, run_warm

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]

STAGES = (
    ("code",),
    ("download", "activities"),
    ("attributes", "activities"),
    ("partition", "base_to_new"),
    ("train", "base_to_new", "fedmvp", "1"),
    ("evaluate", "base_to_new", "fedmvp", "1"),
    ("zero_shot", "base_to_new", "zero_shot"),
    ("report",),
)


def work(root: Path, *words: str, **extra: str) -> subprocess.CompletedProcess[str]:
    """Run a stage by hand."""
    variables = {"PYTHONPATH": str(root), **extra}
    return subprocess.run(
        [sys.executable, "-m", f"pipeline.{words[0]}", *words[1:]],
        cwd=root,
        env=environment(**variables),
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )


def git(root: Path, *words: str) -> None:
    names = ("-c", "user.name=a tester", "-c", "user.email=tester@localhost")
    subprocess.run(["git", *names, *words], cwd=root, check=True, capture_output=True)


def copy_of(done: Path, root: Path) -> Path:
    """Return a copy whose remembered times and inodes are its own."""
    shutil.copytree(done, root, symlinks=True)
    return root


def damaged(cache: Path) -> list[str]:
    """Return what in the cache is not what its name says."""
    return [
        str(path)
        for path in (cache / "files/md5").rglob("*")
        if path.is_file()
        and hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
        != f"{path.parent.name}{path.name}".removesuffix(".dir")
    ]


@pytest.mark.parametrize("kind", ["symlink", pytest.param("hardlink", marks=pytest.mark.minutes)])
def test_no_stage_writes_through_a_link_into_the_cache(
    tiny_done: Path, warm: Path, tmp_path: Path, kind: str
) -> None:
    root = copy_of(tiny_done, tmp_path / "copy")
    # But report/metrics.json, which is in git and not in the cache.
    before = {
        path.relative_to(root): path.read_bytes()
        for path in files(root)
        if path.name != "metrics.json" or path.parent.name != "report"
    }
    assert dvc(root, "config", "cache.type", kind, warm=warm).returncode == 0
    linked = dvc(root, "checkout", "--relink", warm=warm)
    assert linked.returncode == 0, linked.stderr
    weights = root / "results/base_to_new/fedmvp/seed1/weights.safetensors"
    assert weights.is_symlink() == (kind == "symlink")
    assert kind == "symlink" or weights.stat().st_nlink == 2
    # Other content, so that what were written through would be found.
    path = root / "params.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(
        text.replace("classes_per_client: 30", "classes_per_client: 15"), encoding="utf-8"
    )
    for words in STAGES[:-1]:  # the report publishes only what dvc.lock knows
        done = run_warm(root, warm, "python", "-m", f"pipeline.{words[0]}", *words[1:])
        assert done.returncode == 0, done.stderr
    assert weights.read_bytes() != before[weights.relative_to(root)]
    assert not weights.is_symlink()
    assert damaged(root / ".dvc/cache") == []
    path.write_text(text, encoding="utf-8")
    back = dvc(root, "checkout", "--force", warm=warm)
    assert back.returncode == 0, back.stderr
    assert {p: (root / p).read_bytes() for p in before} == before


def test_what_was_collected_is_computed_again(copy: Copy) -> None:
    from dvc.repo import Repo

    path = copy.root / "results/base_to_new/fedmvp/seed1/weights.safetensors"
    before, content = copy.set_param("federation.rounds", 3), path.read_bytes()
    copy.repro()
    with contextlib.chdir(copy.root), Repo() as repo:
        repo.gc(workspace=True)
    assert copy.status() == {}
    copy.set_param("federation.rounds", before)
    assert copy.repro() >= METHODS
    assert path.read_bytes() == content
    assert copy.status() == {}


@pytest.mark.minutes
def test_three_experiments_in_a_queue(tiny_project: Path, warm: Path, tmp_path: Path) -> None:
    root = copy_of(tiny_project, tmp_path / "copy")
    git(root, "add", "--all")
    git(root, "commit", "--message", "a project")
    for shots in (1, 2, 3):
        queued = dvc(
            root,
            "exp",
            "run",
            "--queue",
            "--name",
            f"shots-{shots}",
            "--set-param",
            f"partition.shots={shots}",
            "partition",
            warm=warm,
        )
        assert queued.returncode == 0, queued.stderr
    ran = dvc(root, "exp", "run", "--run-all", warm=warm)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    shown = dvc(root, "exp", "show", "--json", warm=warm)
    assert all(f"shots-{shots}" in shown.stdout for shots in (1, 2, 3))
    assert "Failed" not in shown.stdout
    for shots in (1, 3):
        branched = dvc(root, "exp", "branch", f"shots-{shots}", f"branch-{shots}", warm=warm)
        assert branched.returncode == 0, branched.stderr
        lock = subprocess.run(
            ["git", "show", f"branch-{shots}:dvc.lock"], cwd=root, check=True, capture_output=True
        ).stdout
        (out,) = yaml.safe_load(lock)["stages"]["partition@base_to_new"]["outs"]
        cached = root / ".dvc/cache/files/md5" / out["md5"][:2] / out["md5"][2:]
        clients = json.loads(cached.read_bytes())["clients"]
        # A class of few images gives what it has.
        most = max(len(client["train"]) / len(client["classes"]) for client in clients)
        assert most <= shots
        assert shots == 1 or most > 1


def test_a_clone_without_history_takes_results_from_a_cache(
    tiny_done: Path, tmp_path: Path
) -> None:
    root = copy_of(tiny_done, tmp_path / "copy")
    git(root, "add", "--all")
    git(root, "commit", "--message", "a project")
    git(root, "commit", "--allow-empty", "--message", "another commit")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--depth", "1", root.as_uri(), str(clone))
    assert (clone / ".git/shallow").exists()
    shared = dvc(clone, "cache", "dir", "--local", str(root / ".dvc/cache"))
    assert shared.returncode == 0, shared.stderr
    assert dvc(clone, "checkout").returncode == 0
    assert json.loads(dvc(clone, "status", "--json").stdout) == {}
    assert "Running stage" not in dvc(clone, "repro").stdout
    before = {path.relative_to(root): path.read_bytes() for path in files(root)}
    assert {p: (clone / p).read_bytes() for p in before} == before


AS_USER = """
import os, sys
from pipeline.support.stage import run_stage
from pipeline.zero_shot import main
user, umask, *words = sys.argv[1:]
os.environ["FEDMVP_CACHE"] = "empty"
main(words)  # loads all that the work needs: the interpreter may be root's alone
for folder, _, names in os.walk("."):
    for name in ("", *names):
        os.chown(os.path.join(folder, name), int(user), 4000, follow_symlinks=False)
os.environ["FEDMVP_CACHE"] = "../cache"
os.umask(int(umask))
os.setgroups([])
os.setgid(4000)
os.setuid(int(user))
run_stage(lambda: main(words))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")
@pytest.mark.parametrize("umask", [0o002, pytest.param(0o077, marks=pytest.mark.minutes)])
def test_two_users_share_a_cache_of_images_and_features(tiny_done: Path, umask: int) -> None:
    """Where the umask lets them; else the second is told in one line, and nothing is damaged."""
    ended = []
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        cache = place / "cache"
        cache.mkdir()
        cache.chmod(0o2777)
        for user in (4001, 4002):
            root = copy_of(tiny_done, place / str(user))
            ended.append(
                subprocess.run(
                    [
                        sys.executable,
                        "-c",
                        AS_USER,
                        str(user),
                        str(umask),
                        "base_to_new",
                        "zero_shot",
                    ],
                    cwd=root,
                    env=environment(PYTHONPATH=str(root)),
                    capture_output=True,
                    text=True,
                    check=False,
                )
            )
        owners = {path.stat().st_uid for path in cache.rglob("*") if path.is_file()}
    first, second = ended
    assert first.returncode == 0, first.stderr
    if umask == 0o002:
        assert second.returncode == 0, second.stderr
    else:
        assert second.returncode == 2, second.stderr
        assert second.stderr.splitlines()[-1].startswith("error: ")
        assert "Traceback" not in second.stderr
    assert owners == {4001}
