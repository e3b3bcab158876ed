"""`pipeline.support.code_hashes`: one file stands for the modules a stage can import."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fedmvp.files import sha256_bytes
from pipeline.support.code_hashes import METHOD_STAGES, STAGES, write_code

METHODS = """
from fedmvp.errors import ConfigError
METHODS: dict[str, tuple[str, str, str]] = {"a": ("a", "A", "Ay"), "b": ("b", "B", "Bee")}
"""
LOADER = """
import importlib
def load(name):
    return importlib.import_module(f"fedmvp.methods.{name}")
"""
FILES = {
    "fedmvp/__init__.py": '"""Trivial."""\n',
    "fedmvp/errors.py": "class ConfigError(Exception): ...\n",
    "fedmvp/load.py": LOADER,
    "fedmvp/methods/__init__.py": METHODS,
    "fedmvp/methods/a.py": "from fedmvp.methods.helper import help\n",
    "fedmvp/methods/b.py": "B = 1\n",
    "fedmvp/methods/helper.py": "def help(): ...\n",
    "fedmvp/tracking/store.py": "STORE = 1\n",
    "pipeline/__init__.py": '"""Trivial."""\n',
    **{f"pipeline/{stage}.py": "import fedmvp.tracking.store\n" for stage in STAGES},
    **{f"pipeline/{stage}.py": "from fedmvp.load import load\n" for stage in METHOD_STAGES},
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def hashes(project: Path, name: str) -> dict[str, str]:
    write_code(project)
    path = project / f"data/code/{name}.json"
    found: dict[str, str] = json.loads(path.read_text())["files"]
    return found


def test_a_method_has_what_it_imports_and_nothing_of_another(project: Path) -> None:
    names = (
        "fedmvp/errors.py",
        "fedmvp/load.py",
        "fedmvp/methods/a.py",
        "fedmvp/methods/helper.py",
        "pipeline/train.py",
    )
    assert hashes(project, "train/a") == {n: sha256_bytes(FILES[n].encode()) for n in names}
    assert set(hashes(project, "train/b")) == {
        "fedmvp/errors.py",
        "fedmvp/load.py",
        "fedmvp/methods/b.py",
        "pipeline/train.py",
    }


def test_only_the_stage_about_tracking_has_its_code(project: Path) -> None:
    assert set(hashes(project, "track")) == {"fedmvp/tracking/store.py", "pipeline/track.py"}
    assert set(hashes(project, "report")) == {"pipeline/report.py"}


def test_a_changed_module_changes_the_files_of_those_that_import_it(project: Path) -> None:
    names = ("train/a", "train/b", "evaluate/a", "track", "report")
    before = {name: hashes(project, name) for name in names}
    (project / "fedmvp/methods/helper.py").write_text("def help(): return 1\n")
    (project / "fedmvp/methods/words.txt").write_text("data")
    changed = {name for name in names if hashes(project, name) != before[name]}
    assert changed == {"train/a", "evaluate/a"}


def test_a_method_of_another_class_is_another_method(project: Path) -> None:
    write_code(project)
    before = (project / "data/code/train/a.json").read_bytes()
    path = project / "fedmvp/methods/__init__.py"
    path.write_text(METHODS.replace('"A"', '"Other"'))
    write_code(project)
    assert (project / "data/code/train/a.json").read_bytes() != before


def test_a_method_more_changes_no_other(project: Path) -> None:
    before = hashes(project, "train/a")
    path = project / "fedmvp/methods/__init__.py"
    path.write_text(METHODS.replace('"Bee")', '"Bee"), "c": ("c", "C", "Sea")'))
    (project / "fedmvp/methods/c.py").write_text("C = 1\n")
    assert hashes(project, "train/a") == before
    assert "fedmvp/methods/c.py" in hashes(project, "train/c")
