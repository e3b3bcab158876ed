"""`fedmvp run --sweep`: trials as experiments of DVC, in a project of one small stage."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
import yaml

from pipeline.cluster.sweep.trial import experiments
from tests.paths import ROOT
from tests.pipeline.tiny import dvc, environment
from tests.pipeline.toy_project import start, until

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]

PROMPTS = "methods.fedmvp.n_prompts"
_STAGE = """
import json, os, pathlib, sys, time, yaml
params = yaml.safe_load(pathlib.Path("params.yaml").read_text())
prompts = params["methods"]["fedmvp"]["n_prompts"]
traps = pathlib.Path(os.environ["TRAPS"])
with (traps / "calls").open("a") as calls:
    calls.write(f"{prompts}\\n")
while (traps / f"{prompts}.wait").exists():
    time.sleep(0.02)
if (traps / f"{prompts}.fail").exists():
    sys.exit("error: too many prompts; hint: take the trap away")
pathlib.Path("report").mkdir(exist_ok=True)
scores = {"base_to_new": {"fedmvp": {"hm": 0.5 - abs(prompts - 4) / 10}}}
pathlib.Path("report/metrics.json").write_text(json.dumps(scores))
"""


@pytest.fixture
def traps(tmp_path: Path) -> Path:
    path = tmp_path / "traps"
    path.mkdir()
    return path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "a project"
    root.mkdir()
    shutil.copyfile(ROOT / "params.yaml", root / "params.yaml")
    (root / "stage.py").write_text(_STAGE, encoding="utf-8")
    stage = {
        "cmd": "python stage.py",
        "deps": ["stage.py"],
        "params": [PROMPTS],
        "metrics": [{"report/metrics.json": {"cache": False}}],
    }
    (root / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"report": stage}}), encoding="utf-8")
    (root / ".gitignore").write_text(".fedmvp\n", encoding="utf-8")
    (root / ".dvcignore").write_text(".fedmvp\n", encoding="utf-8")
    subprocess.run(["git", "init", "--quiet", str(root)], check=True)
    done = dvc(root, "init", "--quiet")
    assert done.returncode == 0, done.stderr
    commit(root)
    write(root)
    return root


def commit(root: Path) -> None:
    for words in (["add", "--all"], ["commit", "--quiet", "--message", "first"]):
        who = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org"]
        subprocess.run(["git", *who, *words], cwd=root, env=environment(), check=True)


def write(root: Path, **change: object) -> None:
    value = {
        "name": "prompts",
        "params": {PROMPTS: [2, 4, 6]},
        "metric": "base_to_new.fedmvp.hm",
        **change,
    }
    (root / "sweep.yaml").write_text(yaml.safe_dump(value), encoding="utf-8")


def sweep(root: Path, traps: Path, **request: object) -> subprocess.CompletedProcess[str]:
    process = begin(root, traps, **request)
    out, error = process.communicate(timeout=600)
    return subprocess.CompletedProcess(process.args, process.returncode, out, error)


def begin(root: Path, traps: Path, **request: object) -> subprocess.Popen[str]:
    return start(root, json.dumps({"jobs": 2, "sweep": "sweep.yaml", **request}), TRAPS=str(traps))


def calls(traps: Path) -> list[int]:
    path = traps / "calls"
    return sorted(map(int, path.read_text().split())) if path.exists() else []


def shown(root: Path) -> dict[str, float]:
    """Return the score of each experiment, as `dvc exp show` has it."""
    table = json.loads(dvc(root, "exp", "show", "--json").stdout)
    found = {}
    for commits in table:
        for experiment in commits.get("experiments") or ():
            for rev in experiment["revs"]:
                if data := rev.get("data"):  # one that runs has none
                    metrics = data["metrics"]["report/metrics.json"]["data"]
                    found[rev["name"]] = metrics["base_to_new"]["fedmvp"]["hm"]
    return found


def test_each_trial_is_an_experiment(project: Path, traps: Path) -> None:
    before = (project / "params.yaml").read_bytes()
    planned = sweep(project, traps, dry_run=True)
    assert "3 trials, 0 of them done" in planned.stdout
    assert not calls(traps)
    done = sweep(project, traps)
    assert done.returncode == 0, done.stderr
    assert calls(traps) == [2, 4, 6]
    scores = shown(project)
    assert sorted(scores.values()) == pytest.approx([0.3, 0.3, 0.5])
    assert all(name.startswith("prompts-") for name in scores)
    best = max(scores, key=lambda name: scores[name])
    assert done.stdout.splitlines()[1] == f"  0.5  {best}  {PROMPTS} 4"
    assert f"`dvc exp apply {best}`" in done.stdout
    # The checkout is as it was, and the same command tries nothing again.
    assert (project / "params.yaml").read_bytes() == before
    assert not (project / "report").exists()
    assert not list((project / ".dvc/tmp/exps/standalone").glob("tmp*"))
    write(project, params={PROMPTS: [2, 3, 4, 6]})
    again = sweep(project, traps)
    assert again.returncode == 0, again.stderr
    assert calls(traps) == [2, 3, 4, 6]
    assert again.stdout.startswith(done.stdout.splitlines()[0])
    # Other code is another trial.
    source = project / "stage.py"
    source.write_text(source.read_text(encoding="utf-8") + "# changed\n", encoding="utf-8")
    assert "0 of them done" in sweep(project, traps, dry_run=True).stdout


@pytest.mark.minutes
def test_a_trial_that_fails_leaves_the_others(project: Path, traps: Path) -> None:
    (traps / "6.fail").touch()
    failed = sweep(project, traps)
    assert failed.returncode == 2
    (line,) = [x for x in failed.stderr.splitlines() if x.startswith("error: ")]
    assert "1 trial failed, the first because: too many prompts" in line
    assert "Traceback" not in failed.stderr
    assert len(shown(project)) == 2
    assert "failed  prompts-" in failed.stdout
    (traps / "6.fail").unlink()
    again = sweep(project, traps)
    assert again.returncode == 0, again.stderr
    assert calls(traps) == [2, 4, 6, 6]
    assert len(shown(project)) == 3


@pytest.mark.minutes
def test_a_stop_keeps_the_trials_that_are_done(project: Path, traps: Path) -> None:
    (traps / "4.wait").touch()
    process = begin(project, traps)
    until(lambda: calls(traps) == [2, 4, 6], 400)
    until(lambda: len(experiments(project)) == 2, 400)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=300)
    assert process.returncode == 130, error
    assert "Traceback" not in error
    (traps / "4.wait").unlink()
    assert sweep(project, traps).returncode == 0
    assert calls(traps) == [2, 4, 4, 6]


@pytest.mark.minutes
def test_optuna_proposes(project: Path, traps: Path) -> None:
    pytest.importorskip("optuna", reason="the extra `sweep` is not installed")
    write(project, params={PROMPTS: {"low": 1, "high": 8}}, search="optuna", trials=3)
    done = sweep(project, traps)
    assert done.returncode == 0, done.stderr
    assert 1 <= len(shown(project)) <= 3  # it may propose the same twice
    assert len(calls(traps)) == len(shown(project))


def test_a_metric_that_is_not_there_is_an_error_that_keeps_the_trials(
    project: Path, traps: Path
) -> None:
    write(project, metric="base_to_new.fedmvp.mean", params={PROMPTS: [2]})
    done = sweep(project, traps)
    assert done.returncode == 2
    assert "metric: report/metrics.json has no such number" in done.stderr
    assert len(shown(project)) == 1
    write(project, params={PROMPTS: [2]})
    assert sweep(project, traps).returncode == 0
    assert calls(traps) == [2]


def test_a_folder_without_a_commit_is_an_error(project: Path, traps: Path) -> None:
    shutil.rmtree(project / ".git")
    subprocess.run(["git", "init", "--quiet", str(project)], check=True)
    done = sweep(project, traps)
    assert done.returncode == 2
    assert "an experiment starts from a commit" in done.stderr
    assert not calls(traps)
