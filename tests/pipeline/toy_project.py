"""A DVC project of small scripts, for what stages do is no matter to who hands them out."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import IO

import yaml

from tests.paths import ROOT
from tests.pipeline.tiny import environment

# A stage joins its inputs. Files in `traps` make it fail, be killed, or wait until they are gone.
_STAGE = """
import os, pathlib, signal, sys, time
name, output, *inputs = sys.argv[1:]
pathlib.Path("calls").mkdir(exist_ok=True)
calls = pathlib.Path("calls", name)
calls.write_text((calls.read_text() if calls.exists() else "") + f"{os.getpid()} ")
print(f"{name}: about 0.5 GiB of memory; round 2/3 · loss 0.250", file=sys.stderr, flush=True)
traps = pathlib.Path("traps")
if (traps / f"{name}.fail").exists():
    print(f"error: {name}: cannot; hint: take the trap away", file=sys.stderr)
    sys.exit(2)
if (traps / f"{name}.kill").exists():
    os.kill(os.getpid(), signal.SIGKILL)
if (traps / f"{name}.kill-once").exists():
    (traps / f"{name}.kill-once").unlink()
    os.kill(os.getpid(), signal.SIGKILL)
while (traps / f"{name}.wait").exists():
    time.sleep(0.02)
text = "".join(pathlib.Path(path).read_text() for path in inputs)
pathlib.Path(output).parent.mkdir(exist_ok=True)
pathlib.Path(output).write_text(f"{name}({text})")
"""

_GRAPH: Mapping[str, tuple[str, ...]] = {
    "code": (),
    "data": ("code",),
    "train-a": ("data",),
    "train-b": ("data",),
    "train-c": ("data",),
    "evaluate-a": ("train-a",),
    "evaluate-b": ("train-b",),
    "evaluate-c": ("train-c",),
    "report": ("evaluate-a", "evaluate-b", "evaluate-c"),
}


def write_project(
    root: Path,
    graph: Mapping[str, tuple[str, ...]] = _GRAPH,
    results: Collection[str] = (),
) -> None:
    """Write a project of stages that each need others; some of them make results."""
    outputs = {name: f"results/{name}.out" if name in results else f"{name}.out" for name in graph}
    (root / "traps").mkdir(parents=True)
    (root / "stage.py").write_text(_STAGE, encoding="utf-8")
    stages = {}
    for name, needs in graph.items():
        inputs = [outputs[need] for need in needs]
        stages[name] = {
            "cmd": " ".join(["python", "stage.py", name, outputs[name], *inputs]),
            "deps": ["stage.py", *inputs],
            "outs": [outputs[name]],
        }
    text = yaml.safe_dump({"stages": stages}, sort_keys=False)
    (root / "dvc.yaml").write_text(text, encoding="utf-8")
    (root / ".dvcignore").write_text("traps\ncalls\n.fedmvp\n", encoding="utf-8")
    (root / "pipeline/cluster").mkdir(parents=True)  # what `fedmvp run` looks for
    (root / ".gitignore").write_text("*.out\ntraps\ncalls\n.fedmvp\n", encoding="utf-8")
    subprocess.run(["git", "init", "--quiet", str(root)], check=True)
    from dvc.repo import Repo  # a process of its own would import it for seconds

    Repo.init(str(root)).close()


def start(
    root: Path, request: str, output: IO[str] | int = subprocess.PIPE, **extra: str
) -> subprocess.Popen[str]:
    """Start a run; what it prints goes to pipes, or to a file."""
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline.cluster", request],
        cwd=root,
        env=environment(PYTHONPATH=str(ROOT), **extra),
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )


def run(root: Path, request: str = '{"jobs": 2}') -> subprocess.CompletedProcess[str]:
    """Run to the end."""
    process = start(root, request)
    out, error = process.communicate(timeout=240)
    return subprocess.CompletedProcess(process.args, process.returncode, out, error)


def calls(root: Path, stage: str) -> list[int]:
    """Return the processes that ran a stage's command, the first first."""
    path = root / "calls" / stage
    return [int(word) for word in path.read_text().split()] if path.exists() else []


def until(true: Callable[[], bool], seconds: float = 150) -> None:
    """Wait for something."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def alive(process: int) -> bool:
    """Tell whether a process is there and no zombie."""
    try:
        os.kill(process, 0)
        state = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state[0] != "Z"
