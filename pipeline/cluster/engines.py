"""The workers a request asks for: on this machine or on a Ray cluster."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from fedmvp.config import load_params
from pipeline.cluster.execution import Workers
from pipeline.cluster.graph import Graph
from pipeline.cluster.local import LocalWorkers
from pipeline.cluster.places import Place
from pipeline.cluster.ray_cluster import cluster_places, connected, folder_there, require_alike
from pipeline.cluster.ray_workers import RayWorkers, WorkerSetup
from pipeline.cluster.reproduce import open_repository
from pipeline.cluster.request import Request
from pipeline.cluster.travel import Remote, source_files

__all__ = ["open_workers", "planned_places"]


def planned_places(request: Request, local: Sequence[Place]) -> list[Place]:
    """Return the places that a request would use, without opening them; see `open_workers`."""
    if request.address is None:
        return list(local)
    with connected(request.address) as ray:
        return cluster_places(ray, request.jobs, request.threads)[0]


def open_workers(
    stack: ExitStack, request: Request, graph: Graph, local: Sequence[Place], root: Path
) -> Workers:
    """Return the workers; leaving `stack` ends them.

    Parameters
    ----------
    graph : Graph
        All stages, including those that are up to date.
    local : sequence of Place
        The places of this machine.

    Raises
    ------
    ConfigError
        When there is no such cluster or remote, or the cluster's machines are not like this one.
    """
    if request.address is None:
        return stack.enter_context(closing(LocalWorkers(root, local)))
    remote = None
    if request.remote is not None:
        repo = stack.enter_context(open_repository(root))
        remote = Remote(repo, request.remote)
    ray = stack.enter_context(connected(request.address))
    weights = load_params().backbone.weights if (root / "params.yaml").is_file() else None
    packages = () if remote is None else remote.packages
    require_alike(ray, root, weights, shared=remote is None, packages=packages)
    places, resources = cluster_places(ray, request.jobs, request.threads)
    if remote is None:
        setup = WorkerSetup(str(root.resolve()), None, resources)
        return stack.enter_context(closing(RayWorkers(places, setup)))
    # Stages that prepare or report run here, where images, MLflow's store and the report are.
    here = LocalWorkers(root, [Place("here", only_results=False)])
    travelling = [Place(one.name, one.environment, only_results=True) for one in places]
    setup = WorkerSetup(folder_there(root), source_files(root), resources)
    needs = {stage.name: stage.needs for stage in graph.stages}
    workers = RayWorkers(travelling, setup, here=here, remote=remote, needs=needs)
    return stack.enter_context(closing(workers))
