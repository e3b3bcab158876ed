"""What deterministic kernels cost: the same steps under strict and fast, interleaved.

    python -m benchmarks.determinism --backbone pictoclip
    FEDMVP_DEVICE=cuda python -m benchmarks.determinism --backbone ViT-B-16-quickgelu

prints one line per step: its median time under fast and under strict, and their ratio. The cuBLAS
workspace is set for the process and is the same under both; so is the number of threads. "filled"
is strict mode with torch's filling of new tensors, which the pipeline leaves out.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch

from benchmarks.scaling import backbone_of
from fedmvp.devices import prepare_device
from fedmvp.profiling.inputs import build_scene
from fedmvp.profiling.timing import measure
from fedmvp.profiling.workloads import method_parts

_MODES = {"fast": ("default", False), "strict": ("error", False), "filled": ("error", True)}
_STEPS = ("training step", "evaluation step")


def under(mode: str, step: Callable[[], object]) -> Callable[[], None]:
    """Return `step` as it runs in a mode."""
    level, fill = _MODES[mode]

    def run() -> None:
        torch.set_deterministic_debug_mode(level)
        torch.utils.deterministic.fill_uninitialized_memory = fill  # type: ignore[attr-defined]
        step()

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="pictoclip")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--classes", type=int, default=20)
    parser.add_argument("--repetitions", type=int, default=15)
    options = parser.parse_args()
    backbone = backbone_of(options.backbone, prepare_device())
    scene = build_scene(backbone, classes=options.classes, attributes=10, batch=options.batch)
    parts = method_parts(scene)
    runs = {f"{name} {mode}": under(mode, parts[name]) for name in _STEPS for mode in _MODES}
    costs = measure(runs, options.repetitions, backbone.device)
    for name in _STEPS:
        fast = costs[f"{name} fast"].seconds
        ratios = ", ".join(
            f"{mode} {costs[f'{name} {mode}'].seconds / fast:.3f}" for mode in _MODES
        )
        print(f"{name}: fast {1000 * fast:.1f} ms; relative to it {ratios}")


if __name__ == "__main__":
    main()
