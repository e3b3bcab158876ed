"""What `fedmvp run` costs a stage, beside `dvc repro`: a chain of stages that copy a file.

``python -m benchmarks.overhead --stages 40``: seconds and processor seconds of both, in projects of
their own, and their difference per stage. The chain leaves nothing to run at once.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent


def write_project(root: Path, count: int) -> None:
    """Write a chain of stages, each of which copies what the one before wrote."""
    (root / ".dvc").mkdir(parents=True)
    (root / ".dvc/config").write_text("[core]\n    no_scm = true\n", encoding="utf-8")
    (root / "0.txt").write_text("text\n", encoding="utf-8")
    stages = {
        f"copy-{n}": {
            "cmd": f"cp {n}.txt {n + 1}.txt",
            "deps": [f"{n}.txt"],
            "outs": [f"{n + 1}.txt"],
        }
        for n in range(count)
    }
    text = yaml.safe_dump({"stages": stages}, sort_keys=False)
    (root / "dvc.yaml").write_text(text, encoding="utf-8")


def seconds(root: Path, *words: str) -> tuple[float, float]:
    """Return the seconds and the processor seconds of a program."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DVC_NO_ANALYTICS": "1"}
    subprocess.run(
        [sys.executable, "-m", *words], cwd=root, env=environment, check=True, capture_output=True
    )
    took, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stages", type=int, default=40)
    count = parser.parse_args().stages
    commands = {
        "dvc repro": ("dvc", "repro"),
        "fedmvp run --jobs 1": ("pipeline.cluster", json.dumps({"jobs": 1})),
    }
    took = {}
    for name, words in commands.items():
        with tempfile.TemporaryDirectory() as folder:
            write_project(Path(folder) / "project", count)
            took[name] = seconds(Path(folder) / "project", *words)
        print(f"{name}: {took[name][0]:.2f} s, {took[name][1]:.2f} s of processor")
    (wall, cpu), (plain_wall, plain_cpu) = reversed(took.values())
    print(
        f"per stage: {(wall - plain_wall) / count:+.3f} s, "
        f"{(cpu - plain_cpu) / count:+.3f} s of processor"
    )


if __name__ == "__main__":
    main()
