"""The pipeline and every documented command, small, in a clone of the repository.

One dataset, one setting, one seed and a tiny CLIP, because it runs in every `make test`; .ci/run
reproduces the whole default profile, with PictoCLIP.
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
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from PIL import Image

from tests.paths import ROOT
from tests.pipeline.tiny import write_weights
from tests.pipeline.warm import started
from tests.unit.docs.blocks import blocks, pages, runnable, sample, script

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]

RESULT = Path("results/base_to_new/fedmvp/seed1")
# They run the pipeline several times.
LONG_PAGES = ("docs/tutorial.md", "docs/howto/own_photographs.md", "docs/ablations.md")
OUTPUTS = ("rounds.csv", "weights.safetensors", "failures.json", "run.json")


def environment() -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("FEDMVP_", "MLFLOW_", "DVC_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
    return {**kept, "PATH": path, "DVC_NO_ANALYTICS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}


def run(
    root: Path, *command: str, check: bool = True, warm: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command in the copy; show what it printed when it fails.

    With the folder of `tests.pipeline.warm`, what it runs of Python are forks.
    """
    variables = environment() | {"PYTHONPATH": str(root)}
    if warm is not None:
        variables["PATH"] = f"{warm}{os.pathsep}{variables['PATH']}"
    done = subprocess.run(
        # `fedmvp` is the copy's, too: it writes catalog entries and settings into its package.
        command,
        cwd=root,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if check and done.returncode:
        pytest.fail(f"{shlex.join(command)} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return done


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone with the working tree's files, its params cut down."""
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
    write_weights(root / "fedmvp/clip/weights/pictoclip")
    path = root / "params.yaml"
    params = yaml.safe_load(path.read_text(encoding="utf-8"))
    params["run"] |= {"settings": ["base_to_new"], "seeds": [1]}
    params["data"]["datasets"] = ["animals"]
    params["partition"]["shots"] = 1
    params["federation"] |= {"rounds": 3, "participation": 1.0}
    path.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def warm(copy: Path) -> Iterator[Path]:
    with started(copy) as programs:
        yield programs


@pytest.fixture(scope="module")
def project(copy: Path, warm: Path) -> Path:
    """The clone, reproduced once."""
    run(copy, "dvc", "repro", warm=warm)
    return copy


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


def test_nothing_is_out_of_date_afterwards(project: Path, warm: Path) -> None:
    assert json.loads(run(project, "dvc", "status", "--json", warm=warm).stdout) == {}
    again = run(project, "dvc", "repro", warm=warm)
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


@pytest.fixture(scope="module")
def documented(project: Path) -> Path:
    """The copy with what a reader of the documents has: a commit, images, classes, attributes."""
    run(project, "git", "config", "user.name", "a reader")
    run(project, "git", "config", "user.email", "reader@localhost")
    # All but the record of the run, which the tutorial commits: what git does not know is in no
    # experiment's folder.
    run(project, "git", "add", "--all", "--", ".", ":!dvc.lock")
    run(project, "git", "commit", "--quiet", "--message", "A small copy")
    run(project, "git", "tag", "small")
    (project / "dvc.lock.small").write_bytes((project / "dvc.lock").read_bytes())
    names = ("blue tit", "kingfisher", "robin", "wren")
    for number, name in enumerate(names):
        for shade in range(4):
            path = project / "my-images" / name / f"{shade}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (16, 16), (60 * number, 50 * shade, 90)).save(path)
    lists = {name: [f"plumage of kind {number}"] for number, name in enumerate(names)}
    for name in ("my-attributes.json", "attributes.json"):
        (project / name).write_text(json.dumps(lists), encoding="utf-8")
    (project / "sweep.yaml").write_text(sample("docs/howto/sweep.md"), encoding="utf-8")
    (project / "classes.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    for name in ("photo.png", "other.png"):
        Image.new("RGB", (80, 60), (90, 120, 60)).save(project / name)
    return project


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=[pytest.mark.minutes] if page in LONG_PAGES else [])
        for page in pages()
        if runnable(page) or script(page)
    ],
)
def test_commands_of_a_page(documented: Path, warm: Path, page: str) -> None:
    """In order, as a reader types them after a first run; every page begins at the same state."""
    run(documented, "git", "reset", "--quiet", "--hard", "small")
    run(documented, "git", "clean", "--quiet", "--force", "-d", "--", "fedmvp")
    (documented / "dvc.lock").write_bytes((documented / "dvc.lock.small").read_bytes())
    run(documented, "dvc", "checkout", "--force", "--quiet", warm=warm)
    for command in runnable(page):
        run(documented, "sh", "-c", command, warm=warm)
    if code := script(page):
        run(documented, sys.executable, "-W", "ignore::UserWarning", "-c", code)


def test_first_commands_are_in_ci() -> None:
    first = [line for block in blocks("README.md") for line in block.commands][:2]
    assert first == ["make env", "make repro"]
    ci = (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert "make test" in ci
    assert re.search(r"make .*repro", ci)
