"""The real pipeline, small: one dataset, one setting, one seed, in a copy of the repository.

Kept small because it runs in every `make test`; the whole default profile runs twice in .ci/run.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from PIL import Image

from tests.paths import ROOT

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]

RESULT = Path("results/base_to_new/fedmvp/seed1")
OUTPUTS = ("rounds.csv", "weights.safetensors", "failures.json", "run.json")


def environment() -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("FEDMVP_", "MLFLOW_", "DVC_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
    return {**kept, "PATH": path, "DVC_NO_ANALYTICS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}


def run(root: Path, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command in the copy; show what it printed when it fails."""
    done = subprocess.run(
        # `fedmvp` is the copy's, too: it writes catalog entries and settings into its package.
        command, cwd=root, env=environment() | {"PYTHONPATH": str(root)}, capture_output=True,
        text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if check and done.returncode:
        pytest.fail(f"{shlex.join(command)} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return done


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone with the working tree's files, its params cut down, reproduced once."""
    root = tmp_path_factory.mktemp("end to end") / "fed mvp"
    run(ROOT, "git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(root))
    listed = run(ROOT, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in filter(None, listed.stdout.split("\0")):
        source, target = ROOT / name, root / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
        else:
            target.unlink(missing_ok=True)
    path = root / "params.yaml"
    params = yaml.safe_load(path.read_text(encoding="utf-8"))
    params["run"] |= {"settings": ["base_to_new"], "seeds": [1]}
    params["data"]["datasets"] = ["animals"]
    params["partition"]["shots"] = 1
    params["federation"] |= {"rounds": 3, "participation": 1.0}
    path.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    run(root, "dvc", "repro")
    return root


def test_every_stage_leaves_its_outputs(project: Path) -> None:
    metrics = json.loads((project / RESULT / "metrics.json").read_text())
    assert {"local", "base", "new", "hm", "hm/animals"} <= set(metrics)
    assert all(0 <= value <= 1 for value in metrics.values())
    rounds = list(csv.DictReader((project / RESULT / "rounds.csv").read_text("utf-8").splitlines()))
    clients = json.loads((project / "data/partitions/base_to_new.json").read_text())["clients"]
    assert len(rounds) == 3 * len(clients)
    assert json.loads((project / RESULT / "failures.json").read_text()) == []
    assert json.loads((project / RESULT / "explain.json").read_text())["images"]
    page = (project / "report/index.html").read_text(encoding="utf-8")
    assert "FedMVP" in page
    assert str(project) not in page
    assert not re.search(r'(?:src|href)="https?://[^"]*\.(?:js|css|png)"', page)


def test_nothing_is_out_of_date_afterwards(project: Path) -> None:
    assert json.loads(run(project, "dvc", "status", "--json").stdout) == {}
    again = run(project, "dvc", "repro")
    assert "Running stage" not in again.stdout


def test_killed_training_ends_in_the_same_bytes(project: Path) -> None:
    whole = {name: (project / RESULT / name).read_bytes() for name in OUTPUTS}
    command = [sys.executable, "-m", "pipeline.train", "base_to_new", "fedmvp", "1"]
    scratch = project / ".fedmvp/scratch"
    process = subprocess.Popen(
        command, cwd=project, env=environment(), stderr=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + 300
    while not list(scratch.rglob("round-*.safetensors")):
        assert process.poll() is None, "training ended before it was killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    resumed = run(project, *command)
    # A round that was finished is not computed again.
    assert "round 1/3" not in resumed.stderr
    assert {name: (project / RESULT / name).read_bytes() for name in OUTPUTS} == whole
    assert not list(scratch.rglob("round-*"))


def readme_commands() -> list[str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)
    lines = [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line]


# `make repro` and `make test` are what .ci/run does; `track ui` serves until it is stopped (the
# tracking tests start it); GPUs are not everywhere (test_tiny_run.py trains in two processes on the
# CPU). The paper's data and a paid model are not here: test_paper_mini.py runs its pipeline, the
# unit tests of the command line the rest. All baselines and their tuning take an hour:
# tests/contracts trains each, tests/unit/benchmarks tunes.
ELSEWHERE = {
    "make repro",
    "make test",
    "fedmvp track ui",
    "FEDMVP_DEVICE=cuda dvc repro train",
    "FEDMVP_DEVICE=cuda:0,cuda:1 dvc repro train",
    "FEDMVP_DEVICE=cuda make repro",
    "fedmvp bench --profile paper --device cuda",
    "fedmvp profile use paper",
    "fedmvp profile use paper-mini",
    "fedmvp datasets verify dtd",
    "dvc exp run attributes -S attributes.provider=openai -S attributes.model=gpt-4o",
    "python -m tests.miniatures .",
    "fedmvp profile use baselines && dvc repro",
    "python -m benchmarks.tuning",
}


@pytest.fixture(scope="module")
def own_images(project: Path) -> None:
    """The folder and the list that the README's own dataset is made of."""
    names = ("blue tit", "kingfisher", "robin", "wren")
    for number, name in enumerate(names):
        for shade in range(4):
            path = project / "my-images" / name / f"{shade}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (16, 16), (60 * number, 50 * shade, 90)).save(path)
    lists = {name: [f"plumage of kind {number}"] for number, name in enumerate(names)}
    (project / "my-attributes.json").write_text(json.dumps(lists), encoding="utf-8")


@pytest.mark.parametrize("command", [c for c in readme_commands() if c not in ELSEWHERE])
def test_readme_command(project: Path, own_images: None, command: str) -> None:
    run(project, *shlex.split(command))


def test_readme_commands_run_elsewhere_are_in_ci() -> None:
    ci = (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert set(readme_commands()) >= ELSEWHERE
    assert "make test" in ci
    assert re.search(r"make .*repro", ci)
