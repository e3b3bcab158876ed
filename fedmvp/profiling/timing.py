"""Interleaved repetitions and medians, so that other load affects every part in the same way."""

from __future__ import annotations

import contextlib
import ctypes
import re
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

__all__ = ["Cost", "measure"]


@dataclass(frozen=True)
class Cost:
    """What one part costs.

    Parameters
    ----------
    seconds : float
        Median of the elapsed times.
    cpu_seconds : float
        Median of this process's processor times over all threads: on a CPU, what a machine busy
        with other things says more about.
    peak_mib : float or None
        Most memory in use while it ran, weights included; None where it cannot be read.
    """

    seconds: float
    cpu_seconds: float
    peak_mib: float | None


def measure(
    parts: Mapping[str, Callable[[], object]], repetitions: int, device: torch.device
) -> dict[str, Cost]:
    """Run every part once to warm up, then all in turn, `repetitions` times."""
    peaks = {name: _peak(part, device) for name, part in parts.items()}
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in parts}
    for _ in range(repetitions):
        for name, part in parts.items():
            start, cpu = time.perf_counter(), time.process_time()
            part()
            _wait(device)
            times[name].append((time.perf_counter() - start, time.process_time() - cpu))
    return {
        name: Cost(
            statistics.median(wall for wall, _ in found),
            statistics.median(cpu for _, cpu in found),
            peaks[name],
        )
        for name, found in times.items()
    }


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _peak(part: Callable[[], object], device: torch.device) -> float | None:
    """Run a part twice; return the second run's peak, which holds nothing made only once."""
    part()
    _wait(device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        part()
        _wait(device)
        return torch.cuda.max_memory_allocated(device) / 2**20
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    try:
        Path("/proc/self/clear_refs").write_text("5")  # Linux: forget the peak so far
        part()
        found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    except OSError:
        return None
    return int(found[1]) / 2**10 if found else None
