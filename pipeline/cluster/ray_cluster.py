"""A Ray cluster: connecting to it, checking its machines, and dividing it into places."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fedmvp.errors import ConfigError, one_line
from fedmvp.files import sha256_file
from fedmvp.interruption import listen
from pipeline.cluster.estimates import RUN_FOLDER
from pipeline.cluster.host import host_class
from pipeline.cluster.places import Place, stage_threads

__all__ = ["cluster_places", "computing_environment", "connected", "folder_there", "require_alike"]

_MODULES = ("dvc", "numpy", "open_clip_torch", "pillow", "torch")
_ANSWER_S = 120.0
_CONNECT_S = 10.0
_LAST_PORT = 65535


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Connect to the cluster at an address, ``auto`` for the one of this machine; yield Ray.

    Raises
    ------
    ConfigError
        When Ray is not installed, or no cluster answers.
    """
    # Ray sends no usage statistics when this variable is set.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise ConfigError(
            "Ray is not installed",
            where="--address",
            value=address,
            hint="install the extra `cluster`: uv pip install -e '.[cluster]'",
        ) from None
    _require_answer(address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ConfigError(
            f"no cluster answers ({one_line(str(error), 120)})",
            where="--address",
            value=address,
            hint="start one with `ray start --head`, and name its host and port",
        ) from error
    listen()  # Ray has installed its own handler of SIGTERM
    try:
        yield ray
    finally:
        ray.shutdown()


def _require_answer(address: str) -> None:
    """Make sure that something listens at an address: Ray would keep trying for minutes."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdecimal() or int(port) > _LAST_PORT:
        raise ConfigError(
            "not the address of a cluster",
            where="--address",
            value=address,
            hint="give HOST:PORT, as `ray start --head` prints it, or auto",
        )
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_S).close()
    except OSError as error:
        raise ConfigError(
            f"no cluster answers ({error.strerror or error})",
            where="--address",
            value=address,
            hint="start one with `ray start --head`, and name its host and port",
        ) from error


def cluster_places(
    ray: Any, jobs: int | None, threads: int | None
) -> tuple[list[Place], dict[str, float]]:
    """Return the places of a cluster, and the resources each requests from Ray.

    Parameters
    ----------
    jobs : int, optional
        Number of places; by default one for each GPU, or without GPUs as many as the CPUs suffice
        for. More jobs than GPUs share them.
    threads : int, optional
        CPU threads of a stage; by default as set in the environment here.
    """
    there = ray.cluster_resources()
    gpus, cpus = there.get("GPU", 0.0), there.get("CPU", 0.0)
    width = stage_threads(threads)
    environment = computing_environment(threads)
    if gpus:
        count = jobs or int(gpus)
        resources = {"num_cpus": 0.0, "num_gpus": min(1.0, gpus / count)}
        environment["FEDMVP_DEVICE"] = "cuda"  # Ray shows an actor only its own GPU
    else:
        count = jobs or max(1, int(cpus) // width)
        share = cpus / count
        resources = {"num_cpus": float(min(width, int(share))) if share >= 1 else share}
    return [Place(f"ray {number + 1}", environment) for number in range(count)], resources


def computing_environment(threads: int | None) -> dict[str, str]:
    """Return the environment variables that affect results, to be set on every machine."""
    names = (f"FEDMVP_{name}" for name in ("COMPILE", "DETERMINISM", "PLAIN", "THREADS"))
    found = {name: os.environ[name] for name in names if os.environ.get(name)}
    return found if threads is None else {**found, "FEDMVP_THREADS": str(threads)}


def folder_there(root: Path) -> str:
    """Return the folder for the places' own checkouts on machines without this one."""
    name = f"{socket.gethostname()}:{root.resolve()}"
    return f"~/.cache/fedmvp/run/{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def require_alike(
    ray: Any, root: Path, weights: str | None, *, shared: bool, packages: Sequence[str] = ()
) -> None:
    """Make sure, before anything starts, that every machine computes what this one would.

    Parameters
    ----------
    weights : str, optional
        ``backbone.weights`` of params.yaml.
    shared : bool
        Whether the machines are to work in this checkout.
    packages : sequence of str, optional
        Further packages that the machines need.

    Raises
    ------
    ConfigError
        When a machine has another version of Python or of a numerical library, does not see this
        checkout, or has another file of weights.
    """
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    modules = [*_MODULES, *packages]
    own = {name: importlib.metadata.version(name) for name in modules}
    own["python"] = platform.python_version()
    token = (root / RUN_FOLDER / "token").resolve()
    token.write_text(f"{socket.gethostname()} {os.getpid()} {time.time_ns()}", encoding="utf-8")
    files = [token, *([Path(weights).resolve()] if weights else [])] if shared else []
    own |= {str(path): sha256_file(path) for path in files if path.is_file()}
    for node in (node for node in ray.nodes() if node["Alive"]):
        strategy = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        host = ray.remote(host_class()).options(num_cpus=0, scheduling_strategy=strategy).remote()
        call = host.facts.remote([str(path) for path in files], modules)
        name = node["NodeManagerHostname"]
        try:
            facts = ray.get(call, timeout=_ANSWER_S)
        except Exception as error:
            raise ConfigError(
                f"machine {name} does not answer ({one_line(str(error), 120)})",
                where="--address",
                hint="see `ray status`",
            ) from error
        ray.kill(host)
        if facts.get(str(token)) != own.get(str(token)):
            raise ConfigError(
                f"machine {name} does not see this checkout",
                where="--address",
                value=str(root.resolve()),
                hint="put it on a disk they share, under the same path, or name a DVC remote with "
                "--remote, through which inputs and outputs travel",
            )
        for fact, value in own.items():
            if facts.get(fact) != value:
                raise ConfigError(
                    f"machine {name} has another {fact}: {facts.get(fact)}",
                    where="--address",
                    value=value,
                    hint="every machine needs the same environment (`make env`) and the same files",
                )
