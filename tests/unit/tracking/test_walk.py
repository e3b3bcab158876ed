"""Whatever order DVC and the store are used in, a sync leaves one true run for every result."""

from __future__ import annotations

import contextlib
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from fedmvp.tracking.sync import sync
from tests.unit.tracking.compare import active, assert_equal_to_files

pytestmark = pytest.mark.slow

STEPS = 24
# The learning rate is part of a run's identity; the score moves with the evaluation's code alone.
DVC_YAML = {
    "stages": {
        "result": {
            "matrix": {"seed": [1, 2]},
            "cmd": "write ${item.seed}",
            "params": [{"walk.yaml": ["lr", "hm"]}],
            "outs": ["results/base_to_new/fedmvp/seed${item.seed}"],
        }
    }
}


class Walk:
    """A DVC project with two results, and what its user may do next."""

    def __init__(self, root: Path, store: Any, draw: random.Random) -> None:
        self.root, self.store, self.draw = root, store, draw
        self.commits: list[dict[str, bytes]] = []
        self.steps: dict[str, Callable[[], object]] = {
            "change and repro": self.change_and_repro,
            "repro": self.repro,
            "checkout": self.checkout,
            "lose a result": self.lose_a_result,
            "lose a run": self.lose_a_run,
            "sync": lambda: sync(self.root),
        }

    def repro(self) -> None:
        with self.repo() as repo:
            repo.reproduce()
        files = ("walk.yaml", "dvc.lock")
        self.commits.append({name: (self.root / name).read_bytes() for name in files})

    def change_and_repro(self) -> None:
        """Change parameters or evaluation; values seen before come from DVC's cache of runs."""
        values = {"lr": self.draw.choice([0.1, 0.2]), "hm": self.draw.choice([0.25, 0.5, 0.75])}
        (self.root / "walk.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
        self.repro()

    def checkout(self) -> None:
        """Go back to an earlier commit: `git checkout`, then `dvc checkout`."""
        for name, content in self.draw.choice(self.commits).items():
            (self.root / name).write_bytes(content)
        with self.repo() as repo:
            repo.checkout(force=True)

    def lose_a_result(self) -> None:
        """Remove a result's files; those of MLflow's run stay as they are."""
        folders = sorted(self.root.glob("results/*/*/seed*"))
        if folders:
            shutil.rmtree(self.draw.choice(folders))

    def lose_a_run(self) -> None:
        """Delete a run in MLflow's page."""
        runs = sorted(active(self.store), key=lambda run: str(run.info.run_name))
        if runs:
            self.store.delete_run(self.draw.choice(runs).info.run_id)

    @contextlib.contextmanager
    def repo(self) -> Iterator[Any]:
        from dvc.repo import Repo

        with contextlib.chdir(self.root), Repo() as repo:
            yield repo


def test_any_sequence_ends_in_one_true_run_for_each_result(
    store: Any, root: Path, write_result: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from dvc.repo import Repo

    def write(stage: Any, **_: object) -> None:
        values = yaml.safe_load((root / "walk.yaml").read_text(encoding="utf-8"))
        write_result(seed=int(stage.cmd.split()[-1]), **values)

    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    monkeypatch.setattr("dvc.stage.run.cmd_run", write)
    Repo.init(str(root), no_scm=True).close()
    (root / "dvc.yaml").write_text(yaml.safe_dump(DVC_YAML), encoding="utf-8")
    walk = Walk(root, store, random.Random(4))
    walk.change_and_repro()
    taken = []
    for _ in range(STEPS):
        taken.append(walk.draw.choice(list(walk.steps)))
        walk.steps[taken[-1]]()
        if walk.draw.random() < 0.5:
            sync(root)
            assert_equal_to_files(store, root)
    sync(root)
    assert_equal_to_files(store, root)
    assert set(taken) == set(walk.steps)
    assert len(active(store)) >= 4  # two seeds with two learning rates; history is kept
