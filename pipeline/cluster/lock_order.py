"""The order of the stages in dvc.lock.

DVC adds a stage when it ends, so the order of stages that ran at the same time is arbitrary. After
a run, the new ones are put into the order in which `dvc repro` would have added them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.cluster.graph import Graph
from pipeline.cluster.reproduce import open_repository

__all__ = ["locked_names", "sort_lock"]

_LOCK = "dvc.lock"


def locked_names(root: Path) -> list[str]:
    """Return the names of the stages in dvc.lock, in its order."""
    from dvc.utils.serialize import load_yaml

    path = root / _LOCK
    return list(load_yaml(path).get("stages", {})) if path.is_file() else []


def sort_lock(root: Path, graph: Graph, before: Sequence[str]) -> None:
    """Put the stages that were added to dvc.lock into the order of the graph.

    Parameters
    ----------
    before : sequence of str
        The names in dvc.lock before the run; they keep their order, ahead of the others.
    """
    from dvc.repo import lock_repo
    from dvc.utils.serialize import modify_yaml

    order = [*before, *(s.name for s in graph.stages if s.name not in set(before))]
    with open_repository(root) as repo, lock_repo(repo):
        names = locked_names(root)
        rank = {name: number for number, name in enumerate(order)}
        # Stages that another process added meanwhile come last.
        wanted = sorted(names, key=lambda name: rank.get(name, len(rank)))
        if names == wanted:
            return
        with modify_yaml(str(root / _LOCK)) as data:
            stages = data["stages"]
            for name in wanted:
                stages.move_to_end(name)
