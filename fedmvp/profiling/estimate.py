"""How long the configured ``dvc repro`` takes, from the times of a few steps."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass

from fedmvp.config import Params
from fedmvp.methods.build import method_params, resolved_federation
from fedmvp.partition.model import Partition

__all__ = ["Work", "estimate_seconds", "start_up_seconds", "work_of"]


@dataclass(frozen=True)
class Work:
    """What a run has to do.

    Parameters
    ----------
    trained_images : float
        Images of all training steps, each counted once per step.
    frozen_images : int
        Images and mirror images whose un-prompted features are needed; seeds share those of
        training, and settings the test images that methods without training classify.
    evaluated_images : int
        Images of all targets of all trained runs.
    tensor_stages, plain_stages : int
        Processes with and without torch.
    runs : int
        Trained methods times seeds.
    """

    trained_images: float
    frozen_images: int
    evaluated_images: int
    tensor_stages: int
    plain_stages: int
    runs: int


def work_of(params: Params, partitions: Mapping[str, Partition]) -> Work:
    """Count what params.yaml asks for.

    Parameters
    ----------
    partitions : mapping
        Of each of ``run.settings``.
    """
    run = params.run
    seeds = len(run.seeds)
    trained = 0.0
    for method in run.trained:
        section = method_params(method, params.methods.get(method, {}))
        for partition in partitions.values():
            federation = resolved_federation(
                method, section, params.federation, partition.participation
            )
            passes = federation.rounds * federation.participation * federation.local_epochs
            trained += seeds * passes * _train_images(partition)
    frozen = 2 * sum(map(_train_images, partitions.values())) if run.trained else 0
    if run.zero_shot:
        targets = (target for partition in partitions.values() for target in partition.targets)
        frozen += len({(target.dataset, name) for target in targets for name in target.images})
    runs = len(partitions) * len(run.trained) * seeds
    return Work(
        trained_images=trained,
        frozen_images=frozen,
        evaluated_images=seeds * len(run.trained) * sum(map(_test_images, partitions.values())),
        tensor_stages=1 + 2 * runs + len(partitions) * len(run.zero_shot),
        plain_stages=2 * len(params.data.datasets) + len(partitions) + 3,
        runs=len(run.trained) * seeds,
    )


def _train_images(partition: Partition) -> int:
    return sum(len(client.train) for client in partition.clients)


def _test_images(partition: Partition) -> int:
    return sum(len(target.images) for target in partition.targets)


def start_up_seconds() -> dict[str, float]:
    """Time one process of each kind of stage, doing nothing."""
    seconds = {}
    for kind, module in (
        ("tensor_stages", "fedmvp.evaluation.protocol"),
        ("plain_stages", "fedmvp.report"),
    ):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", f"import {module}"], check=True)  # noqa: S603
        seconds[kind] = time.perf_counter() - start
    return seconds


def estimate_seconds(
    work: Work, per_image: Mapping[str, float], start_up: Mapping[str, float]
) -> dict[str, float]:
    """Return the seconds of each part of a run, and their sum.

    Every trained method is counted as FedMVP, the costliest but for those that train the text side.

    Parameters
    ----------
    per_image : mapping
        Seconds per image of ``training``, ``frozen`` and ``evaluation``.
    start_up : mapping
        See `start_up_seconds`.
    """
    parts = {
        "training": work.trained_images * per_image["training"],
        "frozen features": work.frozen_images * per_image["frozen"],
        "evaluation": work.evaluated_images * per_image["evaluation"],
        "process start-up": work.tensor_stages * start_up["tensor_stages"]
        + work.plain_stages * start_up["plain_stages"],
    }
    return {**parts, "total": sum(parts.values())}
