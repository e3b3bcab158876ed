"""The device and determinism of a process, from the environment: never from tracked params.

FEDMVP_DEVICE: cpu (default), cuda, cuda:1 …, or several, separated by commas: clients are then
trained in a process on each, and all else is done on the first. FEDMVP_DETERMINISM: strict
(default) or fast (docs/reproducibility.md). FEDMVP_THREADS: CPU threads of a process, on which the
order of a sum depends: 2 under strict, all cores under fast.
"""

from __future__ import annotations

import os

import torch

from fedmvp.errors import ConfigError

__all__ = ["device_names", "named_device", "prepare_device"]

_VARIABLE = "FEDMVP_DEVICE"


def device_names() -> tuple[str, ...]:
    """Return the names, at least one; the first is where all but clients' training is done."""
    return tuple(name.strip() for name in (os.environ.get(_VARIABLE) or "cpu").split(","))


def prepare_device(name: str | None = None, *, option: str | None = None) -> torch.device:
    """Set threads and determinism; return the device `name`, or the first of the environment's.

    Parameters
    ----------
    option : str, optional
        Of the command line, which gave `name` instead of the environment.

    Raises
    ------
    ConfigError
        When this machine does not have `name`, or a device the environment names.
    """
    name = device_names()[0] if name is None else name
    level = os.environ.get("FEDMVP_DETERMINISM") or "strict"
    if level not in ("strict", "fast"):
        raise ConfigError(
            "unknown determinism level",
            where="FEDMVP_DETERMINISM",
            value=level,
            hint="use strict or fast",
        )
    threads = os.environ.get("FEDMVP_THREADS") or ("2" if level == "strict" else f"{_cores()}")
    if not threads.isdecimal() or int(threads) < 1:
        raise ConfigError(
            "not a number of threads",
            where="FEDMVP_THREADS",
            value=threads,
            hint="use a whole number of at least 1",
        )
    torch.set_num_threads(int(threads))
    if option is None:
        for other in device_names():
            _device(other, _VARIABLE, os.environ.get(_VARIABLE))
    device = _device(name, option or _VARIABLE, name)
    if device.type == "cuda":
        # cuBLAS sums in a fixed order only with a fixed workspace.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.benchmark = level == "fast"
        torch.backends.cudnn.allow_tf32 = False  # fp32 is to mean fp32 in convolutions, too
    if level == "strict":
        # torch.use_deterministic_algorithms also sets the compiler's flag, and to do so imports the
        # whole compiler: seconds at every start. Its variable does the same where it is used.
        os.environ.setdefault("TORCHINDUCTOR_DETERMINISTIC", "1")
        torch.set_deterministic_debug_mode("error")
        # Strict mode also fills every new tensor, so that reading one before it is written shows.
        # Nothing here does (tests/unit/core/test_device.py); `python -m benchmarks.determinism`
        # says what it would cost.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    return device


def named_device(name: str | None) -> torch.device:
    """Return the device `name`, or the first of the environment's; nothing else is set.

    Raises
    ------
    ConfigError
        When this machine does not have it.
    """
    return _device(name or device_names()[0], "device" if name else _VARIABLE, name)


def _device(name: str, where: str, value: str | None) -> torch.device:
    """Return a device of this machine, named by `value` at `where`."""
    try:
        device = torch.device(name)
    except RuntimeError:
        several = ", or several of them separated by commas" if where == _VARIABLE else ""
        raise ConfigError(
            f"unknown device {name}",
            where=where,
            value=value,
            hint=f"use cpu, cuda or cuda:<n>{several}",
        ) from None
    missing = device.type == "cuda" and (
        not torch.cuda.is_available() or (device.index or 0) >= torch.cuda.device_count()
    )
    if missing:
        raise ConfigError(
            f"this machine has no {name}",
            where=where,
            value=value,
            hint="use cpu, or a machine with CUDA",
        )
    return device


def _cores() -> int:
    """Return the number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
