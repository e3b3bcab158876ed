"""Places where a stage can run, each with a device, and one stage at a time."""

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
        Environment variables set for a stage there.
    only_results : bool, optional
        True: only for stages that make results; False: only for all others; None: for any.
    """

    name: str
    environment: dict[str, str] = field(default_factory=dict)
    only_results: bool | None = None

    def takes(self, *, results: bool) -> bool:
        """Return whether a stage that makes results, or one that does not, may run here."""
        return self.only_results in (None, results)


def local_places(jobs: int | None, gpus: Sequence[int], threads: int | None) -> list[Place]:
    """Return the places of this machine.

    Parameters
    ----------
    jobs : int, optional
        Number of places; by default one for each GPU, or as many as the CPU's cores suffice for.
    gpus : sequence of int
        GPUs to use; more jobs than GPUs share them evenly. Empty: FEDMVP_DEVICE, as in `dvc repro`.
    threads : int, optional
        CPU threads of a stage; by default as set in the environment. Splitting the cores among
        jobs would change the order of sums, and so the bytes of results: it is never the default.

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
        When FEDMVP_THREADS is not a number of threads.
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
