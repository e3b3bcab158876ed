"""Places: where a stage can run, each with a device and one stage at a time."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from fedmvp.errors import ConfigError

__all__ = ["Place", "local_places", "machine_memory_gib", "stage_threads"]


@dataclass(frozen=True)
class Place:
    """Where one stage runs at a time.

    Parameters
    ----------
    name : str
        ``cpu 1``, ``cuda:0``, ``cuda:0 a`` where several share a device.
    environment : dict of str to str
        What a stage there finds in its environment besides what is there anyway.
    only_results : bool, optional
        True: for stages that make results alone; False: for all others alone; None: for any.
    """

    name: str
    environment: dict[str, str] = field(default_factory=dict)
    only_results: bool | None = None

    def takes(self, *, results: bool) -> bool:
        """Return whether a stage may run here, by whether it makes results."""
        return self.only_results in (None, results)


def local_places(jobs: int | None, gpus: Sequence[int], threads: int | None) -> list[Place]:
    """Return the places of this machine.

    Parameters
    ----------
    jobs : int, optional
        How many; else one for each GPU, or as many as the CPU has cores for a stage's threads.
    gpus : sequence of int
        GPUs to use; more jobs than GPUs share them evenly. None: FEDMVP_DEVICE, as in `dvc repro`.
    threads : int, optional
        CPU threads of a stage; else as the environment has it. A split of the cores among the jobs
        would change the order of sums, and with it bytes, so it is made only if asked for.

    Raises
    ------
    ConfigError
        When there are more GPUs than jobs, or a GPU the machine does not have.
    """
    _require(gpus)
    count = jobs or len(gpus) or max(1, _cores() // stage_threads(threads))
    if count < len(gpus):
        raise ConfigError(
            f"{len(gpus)} GPUs, but stages for only {count} of them",
            where="--jobs",
            value=jobs,
            hint="a GPU needs a job: leave --jobs out, or name fewer --gpus",
        )
    common = {} if threads is None else {"FEDMVP_THREADS": str(threads)}
    places = []
    for number in range(count):
        if not gpus:
            places.append(Place(f"cpu {number + 1}", common))
            continue
        gpu, share = gpus[number % len(gpus)], number // len(gpus)
        shared = f" {chr(ord('a') + share)}" if count > len(gpus) else ""
        places.append(Place(f"cuda:{gpu}{shared}", {**common, "FEDMVP_DEVICE": f"cuda:{gpu}"}))
    return places


def stage_threads(threads: int | None) -> int:
    """Return the CPU threads a stage will have; see `fedmvp.devices`.

    Raises
    ------
    ConfigError
        When FEDMVP_THREADS is no number.
    """
    if threads is not None:
        return threads
    word = os.environ.get("FEDMVP_THREADS")
    if not word:
        return 2 if os.environ.get("FEDMVP_DETERMINISM", "strict") == "strict" else _cores()
    if not word.isdecimal() or int(word) < 1:
        raise ConfigError(
            "not a number of threads",
            where="FEDMVP_THREADS",
            value=word,
            hint="use a whole number of at least 1",
        )
    return int(word)


def machine_memory_gib() -> float:
    """Return the memory this machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)


def _require(gpus: Sequence[int]) -> None:
    """Make sure that the GPUs are there, before anything starts."""
    if not gpus:
        return
    import torch

    if len(set(gpus)) < len(gpus):
        raise ConfigError(
            "a GPU is named twice",
            where="--gpus",
            value=",".join(map(str, gpus)),
            hint="name each once; --jobs 2 with one GPU lets two stages share it",
        )
    there = torch.cuda.device_count()
    missing = [gpu for gpu in gpus if gpu >= there]
    if missing:
        raise ConfigError(
            f"this machine has {there} GPUs; there is no cuda:{missing[0]}",
            where="--gpus",
            value=",".join(map(str, gpus)),
            hint="give numbers of its GPUs, counted from 0, or leave --gpus out",
        )


def _cores() -> int:
    """Return the number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
