"""The stages of a run, read from DVC: their order, what each needs, and which are up to date."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from fedmvp.errors import ConfigError, nearest, one_line
from fedmvp.paths import RESULTS

__all__ = ["Graph", "Stage", "State", "read_graph"]

State = Literal["current", "cached", "changed", "waits"]


@dataclass(frozen=True)
class Stage:
    """A stage of dvc.yaml, or an item of a stage's matrix.

    Parameters
    ----------
    name : str
        As `dvc repro` takes it, ``train@base_to_new-fedmvp-1``.
    command : str
    needs : tuple of str
        Stages of the same graph whose outputs it reads.
    outputs : tuple of str
        Paths, as dvc.yaml has them.
    state : str
        ``current``: up to date. ``cached``: DVC's run cache has its outputs. ``changed``: it has to
        run. ``waits``: stages it needs have to run first, and it may turn out to be up to date.
    """

    name: str
    command: str
    needs: tuple[str, ...]
    outputs: tuple[str, ...]
    state: State

    @property
    def makes_results(self) -> bool:
        """Whether it writes to results/, as training and evaluation do: nearly all of the work."""
        return any(output.startswith(f"{RESULTS}/") for output in self.outputs)


@dataclass(frozen=True)
class Graph:
    """Stages in the order of `dvc repro`: each after those it needs."""

    stages: tuple[Stage, ...]

    @property
    def to_do(self) -> Graph:
        """The stages that are not up to date, without their needs that are."""
        names = {stage.name for stage in self.stages if stage.state != "current"}
        return Graph(
            tuple(
                replace(stage, needs=tuple(name for name in stage.needs if name in names))
                for stage in self.stages
                if stage.name in names
            )
        )


def read_graph(root: Path, targets: Sequence[str]) -> Graph:
    """Ask DVC what ``dvc repro TARGETS`` would go through.

    Parameters
    ----------
    targets : sequence of str
        Names of stages or of items of a matrix; empty: all stages of dvc.yaml.

    Raises
    ------
    ConfigError
        When DVC does not know a target, or cannot read the project.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo, lock_repo
    from dvc.repo.reproduce import get_active_graph, plan_repro

    try:
        with Repo(str(root), _wait_for_lock=True) as repo, lock_repo(repo):
            graph = get_active_graph(repo.index.graph)
            order = plan_repro(graph, _collected(repo, targets))
            return Graph(tuple(_stages(graph, order)))
    except DvcException as error:
        raise ConfigError(
            f"DVC cannot read the pipeline ({one_line(str(error))})",
            where="dvc.yaml",
            hint="`dvc repro --dry -v` shows where the error is",
        ) from error


def _collected(repo: Any, targets: Sequence[str]) -> list[Any]:
    """Return the requested stages."""
    from dvc.exceptions import DvcException
    from dvc.repo.reproduce import collect_stages

    stages: list[Any] = []
    for target in targets or ["dvc.yaml"]:
        try:
            stages += collect_stages(repo, [target])
        except DvcException:
            known = sorted({name for s in repo.index.stages for name in _names(s.addressing)})
            raise ConfigError(
                "unknown target", where="fedmvp run", value=target, hint=nearest(target, known)
            ) from None
    return list(dict.fromkeys(stages))


def _names(addressing: str) -> tuple[str, str]:
    """Return a stage's name and that of its matrix: ``train@…`` is an item of ``train``."""
    return addressing, addressing.split("@")[0]


def _stages(graph: Any, order: Iterable[Any]) -> Iterable[Stage]:
    """Yield the stages in order; an edge of DVC's graph leads to a stage that is needed."""
    places = {stage: number for number, stage in enumerate(order)}
    settled: set[Any] = set()
    for stage in places:
        needs = sorted(graph.successors(stage), key=places.__getitem__)
        state = _state(stage) if settled.issuperset(needs) else "waits"
        if state == "current":
            settled.add(stage)
        yield Stage(
            stage.addressing,
            str(stage.cmd),
            tuple(need.addressing for need in needs),
            tuple(str(out.def_path) for out in stage.outs),
            state,
        )


def _state(stage: Any) -> State:
    """Return the state of a stage whose dependencies are up to date."""
    from dvc.exceptions import DvcException
    from dvc.stage.cache import RunCacheNotFoundError

    if not stage.changed():
        return "current"
    try:
        stage.save_deps()  # of this object alone; nothing is written
        stage.repo.stage_cache.restore(stage, dry=True)
    except (RunCacheNotFoundError, DvcException):
        return "changed"
    return "cached"
