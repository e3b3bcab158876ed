"""Streams that are closed or full, terminals of few characters, too little memory: one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import ROOT

_FEDMVP = "from fedmvp.cli import app; app({words})"


def shell(line: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run a line of shell in which ``python`` is this one."""
    variables = {"PYTHONPATH": str(ROOT), "PYTHON": sys.executable, "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        ["/bin/sh", "-c", line],
        cwd=folder,
        env=variables | environment,
        capture_output=True,
        check=False,
        timeout=300,
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return what the stage `code` and the command `profile list` need."""
    for name in ("fedmvp", "pipeline", "params.yaml"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


STAGE = '"$PYTHON" -m pipeline.code'
COMMAND = f'"$PYTHON" -c "{_FEDMVP.format(words=["profile", "list"])}"'


@pytest.mark.parametrize("line", [STAGE, COMMAND], ids=["stage", "command"])
@pytest.mark.parametrize("closed", [">&-", "<&- >&-", "<&- >&- 2>&-"])
def test_closed_streams_do_not_matter(project: Path, line: str, closed: str) -> None:
    ended = shell(f"{line} {closed}", project)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")


@pytest.mark.parametrize("line", [STAGE, COMMAND], ids=["stage", "command"])
def test_a_full_disk_behind_stdout_is_one_line(project: Path, line: str) -> None:
    ended = shell(f"{line} >/dev/full", project)
    assert ended.returncode == 2
    (told,) = ended.stderr.decode().splitlines()
    assert told.startswith("error: No space left on device; hint: ")


def test_a_terminal_without_a_character_gets_its_number(tmp_path: Path) -> None:
    code = "from fedmvp.streams import open_closed_streams as o; o(); print(chr(8230))"
    ended = shell(f'"$PYTHON" -c "{code}"', tmp_path, PYTHONIOENCODING="ascii")
    assert (ended.returncode, ended.stdout) == (0, b"\\u2026\n")


@pytest.mark.parametrize("kib", [300_000, 1_500_000])
@pytest.mark.parametrize(
    "line",
    [
        '"$PYTHON" -m pipeline.zero_shot base_to_new zero_shot',
        f'"$PYTHON" -c "{_FEDMVP.format(words=["methods"])}"',
    ],
    ids=["stage", "command"],
)
def test_libraries_that_do_not_fit_into_memory_are_one_line(
    project: Path, line: str, kib: int
) -> None:
    ended = shell(
        f"ulimit -v {kib}; {line}", project, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1"
    )
    text = ended.stderr.decode()
    assert ended.returncode == 2, text
    assert "Traceback" not in text
    assert text.splitlines()[-1].startswith("error: ")
    assert "ulimit -v" in text.splitlines()[-1]
