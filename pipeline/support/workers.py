"""Processes that train the clients of a stage, one on each device FEDMVP_DEVICE names."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from fedmvp.devices import device_names
from fedmvp.federation.backend import InProcessBackend
from fedmvp.federation.training import fold_backend
from fedmvp.federation.workers import Workers
from pipeline.support.run_context import RunContext

__all__ = ["open_workers"]


def open_workers(setting: str, method: str, seed: int) -> Workers | None:
    """Return the workers of a training stage; None where one device is named."""
    devices = device_names()
    if len(devices) == 1:
        return None
    return Workers(partial(_build, setting, method, seed), devices)


def _build(setting: str, method: str, seed: int, device: str) -> Callable[[str], InProcessBackend]:
    """Return the function that makes backends in a worker."""
    context = RunContext(setting, method, device)

    def backend(fold: str) -> InProcessBackend:
        return fold_backend(
            context.partition,
            fold,
            context.create(seed),
            context.banks,
            context.train_images,
            context.federation,
            seed,
        )

    return backend
