"""`pipeline.code`: one file stands for the modules of a stage."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fedmvp.errors import ConfigError
from fedmvp.files import sha256_bytes
from pipeline.code import main

PIPELINE = """
stages:
  train_code:
    deps: [fedmvp/clip, fedmvp/files.py, pipeline/code.py]
  train:
    deps: [data/code/train.json]
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("fedmvp/clip/text.py", "fedmvp/clip/weights.bin", "fedmvp/files.py",
                 "pipeline/code.py"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def hashes(project: Path) -> dict[str, str]:
    main(["train"])
    found: dict[str, str] = json.loads((project / "data/code/train.json").read_text())["files"]
    return found


def test_every_module_but_the_hashing_one_is_in(project: Path) -> None:
    names = ("fedmvp/clip/text.py", "fedmvp/files.py")
    assert hashes(project) == {name: sha256_bytes(name.encode()) for name in names}


def test_a_changed_module_changes_the_file_and_data_beside_it_does_not(project: Path) -> None:
    before = hashes(project)
    (project / "fedmvp/clip/weights.bin").write_text("other")
    (project / "pipeline/code.py").write_text("other")
    assert hashes(project) == before
    (project / "fedmvp/clip/text.py").write_text("other")
    assert hashes(project) != before


def test_a_stage_without_a_list_is_refused(project: Path) -> None:
    with pytest.raises(ConfigError, match=r"dvc\.yaml.*'report_code'.*use one of: train"):
        main(["report"])
