"""A trial as a DVC experiment: run in its own folder, and found again by its name."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

from filelock import FileLock

from fedmvp.errors import ConfigError
from fedmvp.files import sha256_json
from pipeline.cluster.estimates import RUN_FOLDER
from pipeline.cluster.outcome import Outcome
from pipeline.cluster.reproduce import failure
from pipeline.cluster.sweep.spec import PARAMS, Overrides

__all__ = ["experiments", "run_trial", "score", "trial_name", "workspace_digest"]

_METRICS = "report/metrics.json"
_LOCK = RUN_FOLDER / "experiments.lock"


def workspace_digest(root: Path) -> str:
    """Return a hash of the differences between the checkout and its commit.

    An experiment includes these changes. Files that runs write are left out: they are not inputs
    of a trial, and change with each one.

    Raises
    ------
    ConfigError
        When there is no commit from which an experiment could start.
    """
    if _git(root, "rev-parse", "--verify", "--quiet", "HEAD") is None:
        raise ConfigError(
            "an experiment starts from a commit, and there is none",
            where="--sweep",
            hint="git add --all && git commit --message 'First commit'",
        )
    changes = _git(root, "diff", "HEAD", "--binary", "--", ".", ":!dvc.lock", ":!report")
    return hashlib.sha256(changes or b"").hexdigest()


def trial_name(sweep: str, params: dict[str, Any], workspace: str) -> str:
    """Return an experiment's name: the same for equal params.yaml and equal changes."""
    return f"{sweep}-{sha256_json([params, workspace])[:8]}"


def experiments(root: Path) -> dict[str, str]:
    """Return the commits of the experiments that start from the present commit, by name."""
    from dvc.repo import Repo
    from dvc.repo.experiments.utils import exp_refs_by_baseline

    with Repo(str(root)) as repo:
        found = exp_refs_by_baseline(repo.scm, {repo.scm.get_rev()})
        return {ref.name: repo.scm.get_ref(str(ref)) for refs in found.values() for ref in refs}


def score(root: Path, commit: str, metric: str) -> float:
    """Return a metric of an experiment.

    Raises
    ------
    ConfigError
        When its report has no such metric.
    """
    text = _git(root, "show", f"{commit}:{_METRICS}")
    value: Any = {} if text is None else json.loads(text)
    for name in metric.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(
            f"{_METRICS} has no such number",
            where="metric",
            value=metric,
            hint="`dvc metrics show` lists them: setting, method and score, joined by dots",
        )
    return float(value)


def run_trial(repo: Any, name: str, trial: Overrides) -> Outcome:
    """Run an experiment in its own folder, as ``dvc exp run --temp --name NAME -S …`` does.

    Parameters
    ----------
    repo : dvc.repo.Repo
        See `pipeline.cluster.reproduce.open_repository`.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import lock_repo

    queue = repo.experiments.tempdir_queue
    params = {str(PARAMS): [f"++{key}={json.dumps(value)}" for key, value in trial.items()]}
    try:
        # DVC runs whichever experiment is in its queue; two workers must not take each other's.
        with FileLock(Path(repo.root_dir) / _LOCK):
            with lock_repo(repo):
                repo.experiments.queue_one(queue, params=params, name=name)
            entry, executor = queue.get()
        if entry.name != name:
            return Outcome(kind="failed", message=f"DVC began {entry.name or 'another'} instead")
        queue._reproduce_entry(entry, executor)
    except DvcException as error:
        return failure(error.__cause__ or error)
    return Outcome(kind="ran")


def _git(root: Path, *words: str) -> bytes | None:
    """Return what git prints; None when it fails."""
    done = subprocess.run(["git", *words], cwd=root, capture_output=True, check=False)  # noqa: S603, S607
    return done.stdout if done.returncode == 0 else None
