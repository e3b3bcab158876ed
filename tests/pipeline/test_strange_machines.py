"""Clocks that jump, a Turkish locale, a file system without locks: the same bytes, or one line."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.pipeline.test_caches import copy_of, work
from tests.pipeline.tiny import dvc

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]

RESULTS = Path("results/base_to_new")
TRAIN, EVALUATE = (
    ("train", "base_to_new", "fedmvp", "1"),
    ("evaluate", "base_to_new", "fedmvp", "1"),
)
ZERO_SHOT = ("zero_shot", "base_to_new", "zero_shot")
JUMPS = """
import itertools, time
real, steps = time.time, itertools.cycle((0, 4e8, -4e8, 86400, -3600))
time.time = lambda: real() + next(steps)
time.time_ns = lambda: int(time.time() * 1e9)
"""
NO_LOCKS = """
import errno, fcntl
def refuse(*_):
    raise OSError(errno.ENOLCK, "No locks available")
fcntl.flock = fcntl.lockf = refuse
"""


def beside(root: Path, code: str) -> dict[str, str]:
    """Return the environment in which every Python runs `code` first."""
    folder = root.parent / f"{root.name}-site"
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(code, encoding="utf-8")
    return {"PYTHONPATH": f"{folder}{os.pathsep}{root}"}


def results(root: Path) -> dict[Path, bytes]:
    """Return the contents of all result files."""
    folder = root / RESULTS
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_clock_that_jumps_changes_nothing(tiny_done: Path, tmp_path: Path) -> None:
    root = copy_of(tiny_done, tmp_path / "copy")
    whole = results(root)
    shutil.rmtree(root / RESULTS / "fedmvp")
    for words in (TRAIN, EVALUATE):
        done = work(root, *words, **beside(root, JUMPS))
        assert done.returncode == 0, done.stderr
    assert results(root) == whole
    for year_s, path in ((0, "params.yaml"), (time.time() + 4e8, "fedmvp/files.py")):
        os.utime(root / path, (year_s, year_s))
    assert dvc(root, "status", "--json").stdout.strip() == "{}"


@pytest.mark.parametrize(
    "charset", [pytest.param("UTF-8", marks=pytest.mark.minutes), "ISO-8859-9"]
)
def test_a_turkish_locale_changes_nothing(tiny_done: Path, tmp_path: Path, charset: str) -> None:
    """Whose small I has no dot, and whose decimal mark is a comma."""
    name = tmp_path / f"tr_TR.{charset}"
    try:
        subprocess.run(
            ["localedef", "-i", "tr_TR", "-f", charset, str(name)], check=True, capture_output=True
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this system cannot make the locale")
    root = copy_of(tiny_done, tmp_path / "copy")
    whole = results(root)
    shutil.rmtree(root / RESULTS)
    for words in (TRAIN, EVALUATE, ZERO_SHOT):
        done = work(root, *words, LOCPATH=str(tmp_path), LC_ALL=name.name)
        assert done.returncode == 0, done.stderr
    assert results(root) == whole


def test_a_file_system_without_locks(tiny_done: Path, tmp_path: Path) -> None:
    """The caches need none; training, which two could do at once, is refused in one line."""
    root = copy_of(tiny_done, tmp_path / "copy")
    whole = results(root)
    shutil.rmtree(root / RESULTS / "zero_shot")
    shutil.rmtree(root / ".fedmvp/cache")
    site = beside(root, NO_LOCKS)
    done = work(root, *ZERO_SHOT, **site)
    assert done.returncode == 0, done.stderr
    assert results(root) == whole
    refused = work(root, *TRAIN, **site)
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr
    line = refused.stderr.splitlines()[-1]
    assert line.startswith("error: ") and "No locks available" in line
    assert "FEDMVP_SCRATCH" in line
    assert results(root) == whole
