"""A copy of the repository whose stages write hashes of their inputs instead of computing."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.code import write_code
from tests.paths import ROOT

COPIED = ("fedmvp", "pipeline", ".dvc/config", ".dvc/plots", ".dvcignore", ".gitignore", "dvc.yaml")


@dataclass
class Copy:
    """A DVC project that can be changed and reproduced in a second.

    A stage's outputs are functions of its dependencies and parameters alone, as in the real
    pipeline, so what reruns here reruns there.
    """

    root: Path

    def set_param(self, key: str, value: object) -> object:
        """Change one entry of params.yaml, given as a dotted key; return what it was."""
        path = self.root / "params.yaml"
        params = yaml.safe_load(path.read_text(encoding="utf-8"))
        *sections, last = key.split(".")
        place = params
        for section in sections:
            place = place[section]
        before = place.get(last)
        assert before != value, f"{key} is {value!r} already"
        place[last] = value
        path.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
        return before

    def append(self, file: str, text: str = "\n# changed\n") -> None:
        """Add a line to a source file."""
        path = self.root / file
        path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")

    def stages(self) -> set[str]:
        """Return the names of all stages, matrix items included."""
        from dvc.repo import Repo

        with contextlib.chdir(self.root), Repo() as repo:
            return {stage.addressing for stage in repo.index.stages}

    def repro(self) -> set[str]:
        """Reproduce; return the names of the stages that ran, matrix items included."""
        from dvc.repo import Repo

        with contextlib.chdir(self.root), Repo() as repo:
            return {stage.addressing for stage in repo.reproduce()}

    def status(self) -> dict[str, Any]:
        """Return what `dvc status` says: empty when everything is up to date."""
        from dvc.repo import Repo

        with contextlib.chdir(self.root), Repo() as repo:
            status: dict[str, Any] = repo.status()
            return status


def small_params() -> dict[str, Any]:
    """Return params.yaml with a short matrix and a second trained method."""
    params: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["data"]["datasets"] = ["animals"]
    params["run"] |= {
        "settings": ["base_to_new"],
        "zero_shot": ["zero_shot"],
        "trained": ["fedmvp", "other"],
        "seeds": [1],
    }
    params["methods"]["other"] = {"strength": 1.0}
    return params


@pytest.fixture(scope="session")
def reproduced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a copy that was reproduced once."""
    root = tmp_path_factory.mktemp("graph") / "a copy"
    ignored = shutil.ignore_patterns("__pycache__")
    for name in COPIED:
        source, target = ROOT / name, root / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=ignored)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    shutil.copyfile(root / "fedmvp/methods/zero_shot.py", root / "fedmvp/methods/other.py")
    table = root / "fedmvp/methods/__init__.py"
    named = table.read_text(encoding="utf-8").replace(
        '    "fedmvp":', '    "other": ("other", "ZeroShot", "Other"),\n    "fedmvp":'
    )
    table.write_text(named, encoding="utf-8")
    text = yaml.safe_dump(small_params(), sort_keys=False)
    (root / "params.yaml").write_text(text, encoding="utf-8")
    subprocess.run(["git", "init", "--quiet", str(root)], check=True)
    with pytest.MonkeyPatch.context() as patch:
        _without_commands(patch)
        Copy(root).repro()
    yield root


def tiny_params() -> dict[str, Any]:
    """Return params.yaml for two minutes less."""
    params: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["data"]["datasets"] = ["activities"]
    params["run"] |= {"settings": ["base_to_new"], "zero_shot": ["zero_shot"], "seeds": [1]}
    params["run"]["trained"] = ["fedmvp"]
    params["partition"] |= {"classes_per_client": 30, "shots": 1}
    params["federation"]["rounds"] = 2
    params["evaluation"]["explain_images"] = 1
    return params


@pytest.fixture(scope="session")
def tiny_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the repository with a tiny model and tiny params, nothing run yet."""
    from tests.pipeline.tiny import copy_repository

    root = tmp_path_factory.mktemp("tiny") / "Jürgen's copy"
    copy_repository(root, "data/emoji/activities.zip")
    text = yaml.safe_dump(tiny_params(), sort_keys=False)
    (root / "params.yaml").write_text(text, encoding="utf-8")
    return root


@pytest.fixture(scope="session")
def warm(tiny_project: Path) -> Iterator[Path]:
    """Return the folder of programs that start at once, for the tiny copy and copies of it."""
    from tests.pipeline.warm import started

    with started(tiny_project) as programs:
        yield programs


@pytest.fixture(scope="session")
def tiny_done(tiny_project: Path, warm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return such a copy after `dvc repro`; tests leave it as they find it."""
    from tests.pipeline.tiny import dvc

    root = tmp_path_factory.mktemp("done") / tiny_project.name
    shutil.copytree(tiny_project, root, symlinks=True)
    run = dvc(root, "repro", warm=warm)
    assert run.returncode == 0, run.stdout + run.stderr
    return root


@pytest.fixture
def copy(reproduced: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Copy:
    """Return an up-to-date copy of its own for every test."""
    root = tmp_path / "a copy"
    shutil.copytree(reproduced, root, symlinks=True)
    _without_commands(monkeypatch)
    return Copy(root)


def _without_commands(patch: pytest.MonkeyPatch) -> None:
    patch.setenv("DVC_NO_ANALYTICS", "1")
    patch.setattr("dvc.stage.run.cmd_run", _write_hashes)


def _write_hashes(stage: Any, dry: bool = False, run_env: object = None) -> None:
    if stage.addressing == "code":  # itself about hashes
        write_code(Path(stage.repo.root_dir))
        return
    digest = hashlib.sha256()
    for dep in sorted(stage.deps, key=str):
        digest.update(f"{dep} {dep.hash_info.value}".encode())
    root = Path(stage.repo.root_dir)
    for out in stage.outs:
        path = root / os.path.relpath(out.fs_path, root)
        if not path.suffix:
            path = path / "file"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'{{"value": "{path.name} {digest.hexdigest()}"}}\n', encoding="utf-8")
