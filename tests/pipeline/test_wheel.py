"""The wheel holds `fedmvp` alone and works in an empty folder, without this repository."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from tests.paths import ROOT

COMMAND = "import sys; from fedmvp.cli import app; sys.argv[0] = 'fedmvp'; app()"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with what the wheel installs."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
        archive.extractall(folder / "site")
    assert {top for top in tops if not top.endswith(".dist-info")} == {"fedmvp"}
    return folder / "site"


@pytest.mark.slow
def test_the_package_classifies_without_the_repository(installed: Path, tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), (200, 30, 30)).save(tmp_path / "red.png")
    (tmp_path / "names.txt").write_text("apple\ntram\n", encoding="utf-8")
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            COMMAND,
            "predict",
            "red.png",
            "--backbone",
            "pictoclip",
            "--classes",
            "names.txt",
        ],
        cwd=tmp_path,
        env={"PATH": "", "PYTHONPATH": str(installed), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "apple" in done.stdout


PYTHON = """
import sys, fedmvp
model = fedmvp.load("zero_shot", backbone="pictoclip")
found = model.classify("red.png", classes=["apple", "tram"])
print(found.classes, len(found.names), sorted({"dvc", "mlflow"} & set(sys.modules)))
"""


@pytest.mark.slow
def test_the_package_is_used_from_python(installed: Path, tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), (200, 30, 30)).save(tmp_path / "red.png")
    done = subprocess.run(
        [sys.executable, "-c", PYTHON],
        cwd=tmp_path,
        env={"PATH": "", "PYTHONPATH": str(installed), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "('apple', 'tram') 1 []\n"
    for name in ("export/classify.py.txt", "service/static/index.html", "py.typed"):
        assert (installed / "fedmvp" / name).is_file()


@pytest.mark.slow
@pytest.mark.parametrize("command", [["methods"], ["datasets", "list"], ["profile", "list"]])
def test_commands_that_look_need_no_repository(
    installed: Path, tmp_path: Path, command: list[str]
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *command],
        cwd=tmp_path,
        env={"PATH": "", "PYTHONPATH": str(installed), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
