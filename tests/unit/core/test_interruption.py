"""A signal ends a stage or a command with its code, wherever it is swallowed on the way."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import ROOT

_STAGE = """
import os, signal
from fedmvp.interruption import raise_if_stopped
from pipeline.support.stage import run_stage

def strike():
    os.kill(os.getpid(), signal.{name})
    for _ in range(100):  # Python runs a handler between two steps
        pass

class Finaliser:
    def __del__(self):
        strike()

def swallowed():
    try:
        strike()
    except BaseException:
        pass

def main():
    {work}
    print("went on")
    {then}

if __name__ == "__main__":
    run_stage(main)
"""
_COMMAND = """
import sys
from fedmvp.cli import app
from toy import swallowed

@app.command()
def toy():
    swallowed()
    {then}
    print("went on")

app(["toy"])
"""


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={"PYTHONPATH": f"{ROOT}:."},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def write_stage(folder: Path, work: str, then: str = "pass", name: str = "SIGINT") -> None:
    text = _STAGE.format(work=work, then=then, name=name)
    (folder / "toy.py").write_text(text, encoding="utf-8")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("work", ["Finaliser()", "swallowed()"])
def test_a_swallowed_signal_is_not_lost(tmp_path: Path, work: str, number: signal.Signals) -> None:
    write_stage(tmp_path, work, name=number.name)
    ended = run(tmp_path, "-m", "toy")
    assert (ended.returncode, ended.stdout) == (128 + number, "went on\n")
    assert "Traceback" not in ended.stderr
    assert ended.stderr.startswith(f"stopped by {number.name}; finished work is kept")
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "then",
    [
        "raise_if_stopped(); print('still at work')",
        "raise ValueError('because of it')",
        "open('nowhere/file')",
    ],
)
def test_what_follows_does_not_hide_it(tmp_path: Path, then: str) -> None:
    """The next step of a loop ends the work; an error that follows is not the reason."""
    write_stage(tmp_path, "swallowed()", then)
    ended = run(tmp_path, "-m", "toy")
    assert (ended.returncode, ended.stdout) == (130, "went on\n")
    assert len(ended.stderr.splitlines()) == 1


def test_a_signal_while_a_stage_imports(tmp_path: Path) -> None:
    """Before there is a stage to run: raised or swallowed, its code is the same."""
    # A module a stage imports early stands in for any: it is found before the real one.
    for blow in ("strike()", "swallowed()"):
        write_stage(tmp_path, "pass")
        stub = f"from toy import strike, swallowed\n{blow}\nfrom collections import Counter\n"
        package = tmp_path / "pretend.py"
        package.write_text(stub, encoding="utf-8")
        code = (
            "import sys; sys.argv = ['-m']; import pipeline; import pretend; "
            "from toy import run_stage; run_stage(lambda: print('went on'))"
        )
        ended = run(tmp_path, "-c", code)
        assert (ended.returncode, ended.stdout) == (130, ""), ended.stderr
        assert ended.stderr.startswith("stopped by SIGINT")
        assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("then", ["pass", "raise ValueError('because of it')"])
def test_a_command_ends_with_it_too(tmp_path: Path, then: str) -> None:
    write_stage(tmp_path, "pass")
    (tmp_path / "command.py").write_text(_COMMAND.format(then=then), encoding="utf-8")
    ended = run(tmp_path, "command.py")
    assert ended.returncode == 130
    assert ended.stderr == "stopped by SIGINT\n"
